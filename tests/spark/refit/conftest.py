"""The features table of a test's own root, and the refit on it."""

import pytest

from fruitpipe.jobs.refit import refit
from fruitpipe.operations import job
from fruitpipe.settings import RefitSettings
from fruitpipe.table import delta
from tests.spark.refit.rows import append, rows_of


@pytest.fixture
def add(spark, root):
    """Adds rows to the features table, which is made first, without Spark."""

    def add(rows, **how):
        delta.create(spark, root)
        append(root, rows_of(rows, **how))

    return add


@pytest.fixture
def run(root, capsys):
    """Runs the job as the command line does and returns its exit code and what it printed."""

    def with_flags(*flags):
        code = job.run(refit, RefitSettings, ["--root", root, "--no-report", *flags])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return with_flags
