"""`fruitpipe reconcile` as a script, for spark-submit: fruitpipe/jobs/reconcile.py."""

import sys

from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.operations import job
from fruitpipe.settings import ReconcileSettings

if __name__ == "__main__":
    sys.exit(job.run(reconcile, ReconcileSettings))
