"""One Spark session for all tests of this folder: a session costs seconds, a test's root is its own."""

from __future__ import annotations

import pytest

from fruitpipe import objects
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings, ReconcileSettings
from tests import rows


@pytest.fixture(scope="session")
def spark():
    spark = session.open("fruitpipe tests")
    yield spark
    spark.stop()


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def images(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def said(spark, images, root, capsys):  # noqa: ARG001 - the jobs find the session that is there
    """One run of the stream to its end; returns all that it said."""

    def said(**settings):
        ingest(IngestSettings(images=str(images), root=root, once=True, **settings))
        return capsys.readouterr().out

    return said


@pytest.fixture
def run(said):
    """One run of the stream to its end; returns its last line."""
    return lambda **settings: said(**settings).splitlines()[-1]


@pytest.fixture
def catch_up(images, root, run):
    """Reconciliation and a run, as a schedule has them."""

    def catch_up(**settings):
        known = {name: value for name, value in settings.items() if name in ReconcileSettings.model_fields}
        reconcile(ReconcileSettings(images=str(images), root=root, **known))
        return run(**settings)

    return catch_up


@pytest.fixture
def by_uri(root):
    """The rows, by the image's URI."""
    return lambda: rows.by_uri(root)


@pytest.fixture
def table(by_uri):
    """The rows, by the file's name."""
    return lambda: {objects.name(path): row for path, row in by_uri().items()}
