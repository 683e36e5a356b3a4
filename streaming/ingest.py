"""`fruitpipe ingest` as a script, for spark-submit: the stream, fruitpipe/jobs/ingest.py."""

import sys

from fruitpipe.jobs.ingest import ingest
from fruitpipe.operations import job
from fruitpipe.settings import IngestSettings

if __name__ == "__main__":
    sys.exit(job.run(ingest, IngestSettings))
