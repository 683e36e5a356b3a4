"""The stream without a grace, the command, and what the table holds."""

from __future__ import annotations

import numpy as np
import pytest

from fruitpipe import cli
from fruitpipe.jobs.ingest import ingest
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta


@pytest.fixture
def run(spark, images, root, capsys):  # noqa: ARG001 - the jobs find the session that is there
    def run(**settings):
        given = {"erasure_grace_hours": 0} | settings
        ingest(IngestSettings(images=str(images), root=root, once=True, **given))
        return capsys.readouterr().out

    return run


@pytest.fixture
def erase(root, capsys):
    """The command; its exit code and what it said."""

    def erase(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(["erase", "--root", root, *arguments])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out + said.err

    return erase


@pytest.fixture
def table(spark, root):
    def table():
        return {row["path"]: row for row in delta.rows(spark, root).collect()}

    return table


@pytest.fixture
def vectors(table):
    """The bytes of each image's features."""

    def vectors():
        return {path: np.float32(row["features"]).tobytes() for path, row in table().items() if row["features"]}

    return vectors
