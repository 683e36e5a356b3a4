"""A run that is to catch up starts Spark where something waits, and not where nothing does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from fruitpipe import erasures, events, layout, objects, session, stale, tables
from fruitpipe.errors import WrongRoot
from fruitpipe.events import ImageEvent
from fruitpipe.settings import IngestSettings
from streaming.ingest import ingest
from tests.manifests import write_manifest
from tests.pictures import fill, jpeg, put

NOTHING = "ingest: 0 images featurised, 0 failed"


class Opened(Exception):
    """Raised where the run would start Spark."""


@pytest.fixture
def uri(images, run):
    """The image of a root that has caught up."""
    (uri,) = fill(images, 1)
    run()
    return uri


@pytest.fixture
def no_spark(monkeypatch):
    def opened(*_):
        raise Opened

    monkeypatch.setattr(session, "open", opened)


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize("source", ["prefix", "events"])
def test_a_run_that_finds_nothing_to_do_ends_without_spark(uri, run, source):  # noqa: ARG001
    assert run(source=source) == NOTHING


def no_table(images, root, _):
    objects.delete_all(f"{root}/features")


def a_new_image(images, root, _):
    fill(images, 1, first=1)


def other_bytes(images, root, _):
    put(images / "Kiwi" / "0.jpg", jpeg(9))


def a_removal(images, root, uri):
    write_manifest(root, events.to_line(ImageEvent("removed", uri)))


def a_line_that_is_no_event(images, root, _):
    write_manifest(root, "no event")


def a_request_to_erase(images, root, uri):
    erasures.request(root, [uri], requested_by="a person")


def a_name_that_a_killed_command_left(images, root, uri):
    objects.write(f"{root}/erasures/left.names.json", json.dumps([uri]).encode())


def another_extractors_rows(images, root, uri):
    stale.ask(root, [uri])


def a_clearing_that_is_due(images, root, _):
    long_ago = datetime.now(UTC) - timedelta(days=3)
    objects.write(layout.place(root, layout.CLEARED), json.dumps({"cleared_at": long_ago.isoformat()}).encode())


def no_record_of_a_clearing(images, root, _):
    objects.delete(layout.place(root, layout.CLEARED))


def a_batch_that_was_cut_short(images, root, _):
    objects.delete_all(f"{root}/checkpoints/ingest/commits")


def a_lost_checkpoint(images, root, _):
    objects.delete_all(f"{root}/checkpoints")


def a_damaged_checkpoint(images, root, _):
    objects.delete(f"{root}/checkpoints/ingest/metadata")


WAITS = [
    no_table,
    a_new_image,
    other_bytes,
    a_removal,
    a_line_that_is_no_event,
    a_request_to_erase,
    a_name_that_a_killed_command_left,
    another_extractors_rows,
    a_clearing_that_is_due,
    no_record_of_a_clearing,
    a_batch_that_was_cut_short,
    a_lost_checkpoint,
    a_damaged_checkpoint,
]


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize("waits", WAITS)
def test_a_run_for_which_something_waits_starts_spark(uri, images, root, run, waits):
    waits(images, root, uri)
    with pytest.raises(Opened):
        run()


@pytest.mark.usefixtures("uri", "no_spark")
def test_under_spark_submit_a_session_is_always_opened_or_the_cluster_would_take_the_run_for_failed(run, monkeypatch):
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    with pytest.raises(Opened):
        run()


def test_what_was_listed_before_spark_started_is_not_listed_again(images, run, uri, monkeypatch):  # noqa: ARG001
    fill(images, 2, first=1)
    listed, list_all = [], objects.list_all
    monkeypatch.setattr(objects, "list_all", lambda place: listed.append(place) or list_all(place))
    assert run() == "ingest: 2 images featurised, 0 failed"
    assert listed.count(f"file://{images}") == 2  # to see that there is something at all, and to see what is new


def test_a_table_of_somebody_elses_is_refused_as_ever(spark, images, root):
    fill(images, 1)
    spark.range(3).write.format("delta").save(tables.features_uri(root))
    with pytest.raises(WrongRoot, match="has the columns id, not fruitpipe's"):
        ingest(IngestSettings(images=str(images), root=root, once=True))
