"""A run that is to catch up starts Spark where something waits, and not where nothing does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from fruitpipe import objects
from fruitpipe.erasure import notes, register
from fruitpipe.errors import PlatformFault, WrongRoot
from fruitpipe.ingest import recompute
from fruitpipe.jobs.ingest import ingest
from fruitpipe.root import layout, manifests
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta
from tests.manifests import write_manifest
from tests.pictures import fill, jpeg, put

NOTHING = "ingest: 0 images featurised, 0 failed"


class Opened(Exception):
    """Raised where the run would start Spark."""


class Place(NamedTuple):
    """A root that has caught up, and the one image that it knows."""

    images: Path
    root: str
    uri: str


@pytest.fixture
def caught_up(images, root, run, monkeypatch):
    """From here on no run gets a session."""
    (uri,) = fill(images, 1)
    run()

    def opened(*_):
        raise Opened

    monkeypatch.setattr(session, "open", opened)
    return Place(images, root, uri)


@pytest.mark.usefixtures("caught_up")
@pytest.mark.parametrize("source", ["prefix", "events"])
def test_a_run_that_finds_nothing_to_do_ends_without_spark(run, source):
    assert run(source=source) == NOTHING


def a_new_image(at):
    fill(at.images, 1, first=1)


def other_bytes(at):
    put(Path(at.uri.removeprefix("file://")), jpeg(9))


def a_removal(at):
    write_manifest(at.root, manifests.to_line(ImageEvent("removed", at.uri)))


def a_line_that_is_no_event(at):
    write_manifest(at.root, "no event")


def a_manifest_of_any_name(at):
    objects.write(f"{at.root}/events/mine.jsonl", manifests.to_line(ImageEvent("created", at.uri)).encode())


def a_request_to_erase(at):
    register.request(at.root, [at.uri], requested_by="a person")


def a_name_that_a_killed_command_left(at):
    objects.write(f"{at.root}/erasures/left.names.json", json.dumps([at.uri]).encode())


def another_extractors_rows(at):
    recompute.ask(at.root, [at.uri])


def a_clearing_that_is_due(at):
    long_ago = datetime.now(UTC) - timedelta(days=3)
    objects.write(layout.place(at.root, layout.CLEARED), json.dumps({"cleared_at": long_ago.isoformat()}).encode())


def no_record_of_a_clearing(at):
    objects.delete(layout.place(at.root, layout.CLEARED))


def a_batch_that_was_cut_short(at):
    objects.delete_all(f"{at.root}/checkpoints/ingest/commits")


def a_lost_checkpoint(at):
    objects.delete_all(f"{at.root}/checkpoints")


def a_damaged_checkpoint(at):
    objects.delete(f"{at.root}/checkpoints/ingest/metadata")


WAITS = [
    a_new_image,
    other_bytes,
    a_removal,
    a_line_that_is_no_event,
    a_manifest_of_any_name,
    a_request_to_erase,
    a_name_that_a_killed_command_left,
    another_extractors_rows,
    a_clearing_that_is_due,
    no_record_of_a_clearing,
    a_batch_that_was_cut_short,
    a_lost_checkpoint,
    a_damaged_checkpoint,
]


@pytest.mark.parametrize("waits", WAITS)
def test_a_run_for_which_something_waits_starts_spark(caught_up, run, waits):
    waits(caught_up)
    with pytest.raises(Opened):
        run()


@pytest.mark.parametrize("settings", [{"checkpoint_days": 0}, {"clear_hours": 0}])
@pytest.mark.usefixtures("caught_up")
def test_a_run_for_which_a_checkpoint_or_a_clearing_is_due_by_its_settings_starts_spark(run, settings):
    with pytest.raises(Opened):
        run(**settings)


@pytest.mark.parametrize("gone", ["features", "features/_delta_log"])
def test_a_run_that_has_no_table_starts_spark_though_no_image_waits(caught_up, run, gone):
    objects.delete_all(f"{caught_up.root}/{gone}")
    with pytest.raises(Opened):
        run(source="events")


def test_rows_that_are_not_to_be_computed_anew_now_do_not_start_spark(caught_up, run):
    another_extractors_rows(caught_up)
    assert run(stale_per_second=0) == NOTHING


def test_an_image_that_was_erased_and_kept_does_not_start_spark(caught_up, run):
    erasure = register.request(caught_up.root, [caught_up.uri], requested_by="a person", keep_object=True)
    register.complete(caught_up.root, erasure)
    notes.drop(caught_up.root, erasure.id)
    put(Path(caught_up.uri.removeprefix("file://")), jpeg(9))
    assert run() == NOTHING


def test_a_root_whose_salt_is_gone_is_refused_though_nothing_waits(caught_up, run):
    register.complete(caught_up.root, register.request(caught_up.root, [caught_up.uri], requested_by="a person"))
    objects.delete(f"{caught_up.root}/erasures/salt")
    with pytest.raises(WrongRoot, match="salt"):
        run()


@pytest.mark.usefixtures("caught_up")
def test_a_table_that_cannot_be_read_without_spark_is_sparks_to_judge(run, monkeypatch):
    def unreadable(*_):
        raise PlatformFault("cannot be read")

    monkeypatch.setattr(delta, "Snapshot", unreadable)
    with pytest.raises(Opened):
        run()


@pytest.mark.usefixtures("caught_up")
def test_under_spark_submit_a_session_is_always_opened_or_the_cluster_would_take_the_run_for_failed(run, monkeypatch):
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    with pytest.raises(Opened):
        run()


def test_a_checkpoint_that_is_old_is_begun_anew_and_one_that_is_not_stays(images, root, run):
    fill(images, 1)
    run()
    begun = objects.read(f"{root}/checkpoints/ingest/metadata")
    fill(images, 1, first=1)
    run()
    assert objects.read(f"{root}/checkpoints/ingest/metadata") == begun
    run(checkpoint_days=0)
    assert objects.read(f"{root}/checkpoints/ingest/metadata") != begun


def test_what_was_listed_before_spark_started_is_not_listed_again(images, run, monkeypatch):
    fill(images, 1)
    run()
    fill(images, 2, first=1)
    listed, list_all = [], objects.list_all
    monkeypatch.setattr(objects, "list_all", lambda place, *shut: listed.append(place) or list_all(place, *shut))
    assert run() == "ingest: 2 images featurised, 0 failed"
    assert listed.count(f"file://{images}") == 2  # is an image there, and then the listing


def test_a_table_of_somebody_elses_is_refused_as_ever_and_its_checkpoint_kept(spark, images, root):
    fill(images, 1)
    spark.range(3).write.format("delta").save(delta.features_uri(root))
    theirs = f"{root}/checkpoints/ingest/metadata"
    objects.write(theirs, b"theirs")
    with pytest.raises(WrongRoot, match="has the columns id, not fruitpipe's"):
        ingest(IngestSettings(images=str(images), root=root, once=True, checkpoint_days=0))
    assert objects.exists(theirs)
