"""`fruitpipe refit` as a script, for spark-submit: fruitpipe/jobs/refit.py."""

import sys

from fruitpipe.jobs.refit import refit
from fruitpipe.operations import job
from fruitpipe.settings import RefitSettings

if __name__ == "__main__":
    sys.exit(job.run(refit, RefitSettings))
