"""A run that is to catch up starts Spark where something waits, and not where nothing does."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
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


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory):  # noqa: ARG001 - the job finds the session that is there
    """Such a root for all tests of this file, beside a copy of it."""
    folder = tmp_path_factory.mktemp("caught-up")
    (uri,) = fill(folder / "images", 1)
    place = Place(folder / "images", f"file://{folder}/root", uri)
    with contextlib.redirect_stdout(io.StringIO()):
        ingest(IngestSettings(images=str(place.images), root=place.root, once=True))
    shutil.copytree(folder / "root", folder / "copy")
    return place


@pytest.fixture
def caught_up(place, monkeypatch):
    """The root as it was, whatever another test did to it. No run gets a session."""
    folder = place.images.parent
    shutil.rmtree(folder / "root")
    shutil.copytree(folder / "copy", folder / "root")

    def opened(*_):
        raise Opened

    monkeypatch.setattr(session, "open", opened)
    yield place
    if (folder / "aside").exists():
        shutil.rmtree(place.images)
        (folder / "aside").rename(place.images)
    for added in set(place.images.rglob("*.jpg")) - {Path(place.uri.removeprefix("file://"))}:
        added.unlink()


@pytest.fixture
def begin(caught_up):
    """Begins a run of the stream on it; returns its last line."""

    def begin(**settings):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            ingest(IngestSettings(images=str(caught_up.images), root=caught_up.root, once=True, **settings))
        return said.getvalue().splitlines()[-1]

    return begin


def other_bytes(at):
    """Other ones at the image's name, until the test ends: the folder lies aside, as what is written again is another file."""
    at.images.rename(at.images.with_name("aside"))
    put(Path(at.uri.removeprefix("file://")), jpeg(9))


@pytest.mark.parametrize("source", ["prefix", "events"])
def test_a_run_that_finds_nothing_to_do_ends_without_spark(begin, source):
    assert begin(source=source) == NOTHING


def a_new_image(at):
    fill(at.images, 1, first=1)


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
def test_a_run_for_which_something_waits_starts_spark(caught_up, begin, waits):
    waits(caught_up)
    with pytest.raises(Opened):
        begin()


@pytest.mark.parametrize("settings", [{"checkpoint_days": 0}, {"clear_hours": 0}])
def test_a_run_for_which_a_checkpoint_or_a_clearing_is_due_by_its_settings_starts_spark(begin, settings):
    with pytest.raises(Opened):
        begin(**settings)


@pytest.mark.parametrize("gone", ["features", "features/_delta_log"])
def test_a_run_that_has_no_table_starts_spark_though_no_image_waits(caught_up, begin, gone):
    objects.delete_all(f"{caught_up.root}/{gone}")
    with pytest.raises(Opened):
        begin(source="events")


def test_rows_that_are_not_to_be_computed_anew_now_do_not_start_spark(caught_up, begin):
    another_extractors_rows(caught_up)
    assert begin(stale_per_second=0) == NOTHING


def test_an_image_that_was_erased_and_kept_does_not_start_spark(caught_up, begin):
    erasure = register.request(caught_up.root, [caught_up.uri], requested_by="a person", keep_object=True)
    register.complete(caught_up.root, erasure)
    notes.drop(caught_up.root, erasure.id)
    other_bytes(caught_up)
    assert begin() == NOTHING


def test_a_root_whose_salt_is_gone_is_refused_though_nothing_waits(caught_up, begin):
    register.complete(caught_up.root, register.request(caught_up.root, [caught_up.uri], requested_by="a person"))
    objects.delete(f"{caught_up.root}/erasures/salt")
    with pytest.raises(WrongRoot, match="salt"):
        begin()


def test_a_table_that_cannot_be_read_without_spark_is_sparks_to_judge(begin, monkeypatch):
    def unreadable(*_):
        raise PlatformFault("cannot be read")

    monkeypatch.setattr(delta, "Snapshot", unreadable)
    with pytest.raises(Opened):
        begin()


def test_under_spark_submit_a_session_is_always_opened_or_the_cluster_would_take_the_run_for_failed(begin, monkeypatch):
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    with pytest.raises(Opened):
        begin()


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
