"""The features table of a test's own root, and the refit on it."""

import pytest

from fruitpipe.jobs.refit import refit
from fruitpipe.operations import job
from fruitpipe.settings import RefitSettings
from fruitpipe.table import delta
from tests.spark.refit.rows import frame, write


@pytest.fixture
def add(spark, root):
    """Appends rows to the features table, which is made first."""

    def append(rows, **how):
        delta.create(spark, root)
        write(root, frame(spark, rows, **how))

    return append


@pytest.fixture
def run(root, capsys):
    """Runs the job as the command line does and returns its exit code and what it printed."""

    def with_flags(*flags):
        code = job.run(refit, RefitSettings, ["--root", root, "--no-report", *flags])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return with_flags
