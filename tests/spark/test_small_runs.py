"""A run for few new images by processes of its own, beside the same run by Spark: the same rows, messages and ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, PlatformFault
from fruitpipe.extractor import featurise
from fruitpipe.ingest import checkpoint, local_workers, small_run, waiting_manifests
from fruitpipe.jobs import ingest as job
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.refit import refit
from fruitpipe.root import manifests
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings, RefitSettings
from fruitpipe.table import delta, upkeep
from fruitpipe.table.fence import Fence
from fruitpipe.table.snapshot import Snapshot
from tests.featurisers import DEADLY, SLOW, DeadlyAndSlowFeaturiser, RefusedFeaturiser
from tests.pictures import fill, jpeg, put

WAYS = {"by Spark": 0, "by processes": 5000}


@pytest.fixture
def run(images, root, capsys, monkeypatch):
    """A run to its end in one of the ways; returns its last line. By processes it must do without a session."""
    opened = session.open

    def run(way, **settings):
        with monkeypatch.context() as patched:
            patched.setattr(session, "open", opened if way == "by Spark" else lambda *_: pytest.fail("Spark was started"))
            ingest(IngestSettings(images=str(images), root=root, once=True, images_without_spark=WAYS[way], **settings))
        return capsys.readouterr().out.splitlines()[-1]

    return run


@pytest.fixture
def rows(root):
    """The table's rows by the image's name, without what differs from run to run."""

    def rows():
        found = Snapshot(root).query("SELECT * FROM features")
        return {objects.name(row["path"]): {key: value for key, value in row.items() if key != "ingested_at"} for row in found}

    return rows


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def test_a_deadly_image_and_a_slow_one_are_rows_and_cost_their_neighbours_nothing(images, run, rows, monkeypatch):
    monkeypatch.setattr(featurise, "Featuriser", DeadlyAndSlowFeaturiser)
    fill(images, 9)
    put(images / "Kiwi" / "deadly.jpg", jpeg(5) + DEADLY)
    put(images / "Kiwi" / "slow \N{SNOWMAN}.jpg", jpeg(5) + SLOW)
    assert run("by processes", max_image_seconds=0.5) == "ingest: 9 images featurised, 2 failed"
    found = rows()
    assert {name: row["error"] for name, row in found.items() if row["error"]} == {
        "deadly.jpg": "crashes-decoder",
        "slow \N{SNOWMAN}.jpg": "too-slow",
    }
    assert "longer than 0.5 s" in found["slow \N{SNOWMAN}.jpg"]["error_message"]


def test_a_store_that_refuses_all_is_the_platforms_fault_and_the_next_run_goes_on(images, root, run, monkeypatch):
    fill(images, 3)
    with monkeypatch.context() as patched:
        patched.setattr(featurise, "Featuriser", RefusedFeaturiser)
        with pytest.raises(PlatformFault, match="all 3 images of this batch are unreadable"):
            run("by processes")
    assert not [stat for stat in objects.list_all(delta.folder(root)) if stat.path.endswith(".parquet")]
    assert run("by processes") == "ingest: 3 images featurised, 0 failed"


def test_whoever_runs_next_finds_the_others_rows_and_files(images, root, run, rows, spark, capsys):
    """Appends by one, merges, compaction, the change feed and a refit by the other, in turns."""
    fill(images, 20)
    assert run("by processes") == "ingest: 20 images featurised, 0 failed"
    refit(RefitSettings(root=root, components=3, report=False))
    fill(images, 5, "Lemon", first=20)
    assert run("by processes") == "ingest: 5 images featurised, 0 failed"
    put(images / "Kiwi" / "0000.jpg", jpeg(99))
    fill(images, 1, "Lemon", first=25)
    assert run("by Spark") == "ingest: 2 images featurised, 0 failed"
    upkeep.compact(spark, root, 1_000_000)
    fill(images, 2, "Lemon", first=26)
    assert run("by processes") == "ingest: 2 images featurised, 0 failed"
    assert waiting_manifests.unread(root, checkpoint.place(root)) == []
    capsys.readouterr()
    refit(RefitSettings(root=root, components=3, report=False))
    assert "9 rows added and 1 taken out since v000001, 20 not read again" in capsys.readouterr().out
    assert len(rows()) == delta.rows(spark, root).count() == 28
    version = Snapshot(root).version
    upkeep.vacuum(spark, root, 0, datetime.now(UTC))
    assert (len(rows()), Snapshot(root).version) == (28, version)  # a vacuum beside the batches commits nothing


class Opened(Exception):
    """A session was asked for."""


@pytest.fixture
def no_session(monkeypatch):
    def opened(*_):
        raise Opened

    monkeypatch.setattr(session, "open", opened)


def overwritten(images, _root):
    put(images / "Kiwi" / "0000.jpg", jpeg(99))


def removed(images, _root):
    (images / "Kiwi" / "0000.jpg").unlink()
    fill(images, 20, first=100)


def a_line_that_is_no_event(_images, root):
    objects.write(f"{root}/events/mine.jsonl", b"no event\n")


def more_than_few(images, _root):
    fill(images, 101, first=200)


def many_small_files(images, root):
    for number in range(15):
        fill(images, 1, first=300 + number)
        ingest(IngestSettings(images=str(images), root=root, once=True, images_without_spark=100, compact_commits=0))
    fill(images, 1, first=400)


@pytest.mark.parametrize("waits", [overwritten, removed, a_line_that_is_no_event, more_than_few, many_small_files])
@pytest.mark.usefixtures("no_session")
def test_what_takes_more_than_an_append_is_left_to_spark_before_anything_is_changed(images, root, waits):
    fill(images, 12)
    ingest(IngestSettings(images=str(images), root=root, once=True, images_without_spark=100))
    waits(images, root)
    before = Snapshot(root).version
    with pytest.raises(Opened):
        ingest(IngestSettings(images=str(images), root=root, once=True, images_without_spark=100))
    assert Snapshot(root).version == before


@pytest.mark.usefixtures("no_session")
def test_a_manifest_that_went_since_it_was_listed_is_left_to_spark(images, root, monkeypatch):
    fill(images, 1)
    monkeypatch.setattr(waiting_manifests, "unread", lambda *_: [f"{root}/events/gone.jsonl"])
    with pytest.raises(Opened):
        ingest(IngestSettings(images=str(images), root=root, once=True, source="events", images_without_spark=100))


def test_many_cores_are_no_reason_for_spark(images, run, monkeypatch):
    monkeypatch.setattr(local_workers, "usable_cores", lambda: 16)
    for first in (0, 2):
        fill(images, 2, first=first)
        assert run("by processes") == "ingest: 2 images featurised, 0 failed"


def test_a_run_that_is_killed_before_its_manifests_are_gone_does_nothing_twice(images, root, run, rows, monkeypatch, spark):  # noqa: ARG001
    fill(images, 3)
    with monkeypatch.context() as patched:
        patched.setattr(small_run, "carried_out", lambda _: None)
        run("by processes")
    before = rows()
    assert run("by Spark") == "ingest: 0 images featurised, 0 failed, 3 unchanged"
    assert rows() == before


def theirs(root):
    """Somebody else's commit, the next of the table: that of before once more, of another file and under the next number."""
    version = Snapshot(root).version
    actions = [json.loads(line) for line in objects.read(f"{root}/features/_delta_log/{version:020}.json").splitlines()]
    for action in actions:
        if "txn" in action:
            action["txn"]["version"] += 1
        if "add" in action:
            action["add"]["path"] = f"theirs-{action['add']['path']}"
    objects.write(
        f"{root}/features/_delta_log/{version + 1:020}.json", "".join(f"{json.dumps(one)}\n" for one in actions).encode()
    )


@pytest.mark.parametrize("looked", ["before it looked at the table", "after it"])
def test_a_commit_after_somebody_elses_is_refused_and_leaves_no_file(images, root, run, monkeypatch, looked):
    """As where this process was suspended, and another has taken the root."""
    fill(images, 2)
    run("by processes")
    fill(images, 1, first=2)
    number_after = Fence.number_after

    def suspended(fence, version):
        if looked == "after it":
            number = number_after(fence, version)
            theirs(root)
            return number
        theirs(root)
        return number_after(fence, version + 1)

    monkeypatch.setattr(Fence, "number_after", suspended)
    with pytest.raises(LeaseLost, match="somebody else changed rows"):
        run("by processes")
    held = {file.path for file in Snapshot(root).files()}
    there = {Path(stat.path).name for stat in objects.list_all(delta.folder(root)) if stat.path.endswith(".parquet")}
    assert there <= held


def test_events_alone_are_taken_as_well(images, root, run):
    (uri,) = fill(images, 1)
    objects.write(f"{root}/events/a.jsonl", f"{manifests.to_line(manifests.ImageEvent('created', uri))}\n".encode())
    assert run("by processes", source="events") == "ingest: 1 images featurised, 0 failed"
    assert job.is_settled(IngestSettings(images=str(images), root=root, once=True))
