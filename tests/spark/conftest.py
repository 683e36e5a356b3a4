"""One Spark session for all tests of this folder: a session costs seconds, a test's root is its own."""

from __future__ import annotations

import pytest

from fruitpipe import session


@pytest.fixture(scope="session")
def spark():
    spark = session.open("fruitpipe tests")
    yield spark
    spark.stop()


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"
