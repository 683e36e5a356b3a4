"""Upkeep between batches: files get fewer, rows and changes stay as they are, and nothing is removed before its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from fruitpipe import objects
from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.ingest import checkpoint_renewal, root_upkeep, tally
from fruitpipe.ingest.root_upkeep import SMALL_BYTES, RootUpkeep
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.refit import refit
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings, RefitSettings
from fruitpipe.table import data_files, delta, file_commits, schema, upkeep
from tests.pictures import fill, put
from tests.rows import append_rows

pytestmark = pytest.mark.lane

WEEK_SECONDS = 7 * 86400
LARGE = 4_500_000  # numbers in a row that is a file of 18 MB
# Packs the table's small files in a process of its own, which is there to be killed.
PACK = """
import sys
from fruitpipe.runtime import session
from fruitpipe.table import upkeep

upkeep.compact(session.open("pack", sys.argv[1]), sys.argv[1], 1_000_000)
"""


@pytest.fixture
def settings(tmp_path, root):
    def settings(**more):
        return IngestSettings(images=str(tmp_path / "images"), root=root, **more)

    return settings


@pytest.fixture
def small_commits(spark, root):
    """Appends rows of three numbers, a commit each."""

    def small_commits(count, first=0):
        delta.create(spark, root)
        for number in range(first, first + count):
            row = spark.range(1).select(F.lit(f"file:///images/Kiwi/{number:04}.jpg").alias("path"), F.lit("Kiwi").alias("label"))
            vector = F.expr(f"transform(sequence(1, 1280), i -> float(rand({number})))").alias("features")
            have = row.select("*", vector, F.lit("one").alias("extractor"), F.current_timestamp().alias("ingested_at"))
            absent = [
                F.lit(None).cast(field.dataType).alias(field.name) for field in schema.FEATURES if field.name not in have.columns
            ]
            append_rows(root, have.select("*", *absent))

    return small_commits


def files(root):
    return sorted(name for name in objects.children(f"{root}/features") if name.endswith(".parquet"))


def holding(spark, root):
    """The files that hold the table's rows, as Spark has them."""
    return set(map(objects.canonical, delta.rows(spark, root).inputFiles()))


def contents(spark, root):
    return sorted(map(tuple, delta.rows(spark, root).collect()))


def permitted():
    """A lease that holds."""


def test_small_files_are_packed_and_neither_rows_nor_changes_come_of_it(spark, root, settings, small_commits, capsys):
    small_commits(6)
    refit(RefitSettings(root=root, components=1, report=False))
    before, version = contents(spark, root), delta.describe(root).version
    keeper = RootUpkeep(spark, settings(compact_commits=5), permitted)
    keeper.step(commits=6)
    assert "upkeep: 6 small files of" in capsys.readouterr().out
    assert len(holding(spark, root)) == 1
    assert contents(spark, root) == before
    assert delta.changes(spark, root, version, delta.describe(root).version).count() == 0
    refit(RefitSettings(root=root, components=1, report=False))
    assert ": 0 rows added and 0 taken out since v000001, 6 not read again" in capsys.readouterr().out

    small_commits(2, first=6)
    keeper.step(commits=8)
    assert len(holding(spark, root)) == 3, "packed before it was worth it"


def test_large_files_do_not_make_up_for_small_ones_and_stay_as_they_are(spark, root, settings, small_commits, capsys):
    small_commits(1)
    small = holding(spark, root)
    numbers = F.expr(f"transform(sequence(1, {LARGE}), i -> float(hash(i)))")
    append_rows(root, delta.rows(spark, root).withColumn("features", numbers))
    (large,) = holding(spark, root) - small
    assert objects.look(large, max_bytes=0).stat.length > 8 * SMALL_BYTES
    small_commits(4, first=1)
    RootUpkeep(spark, settings(compact_commits=5), permitted).step(commits=6)
    assert "upkeep: 5 small files of" in capsys.readouterr().out
    assert (large in holding(spark, root), len(holding(spark, root))) == (True, 2)


def test_one_small_file_that_is_left_is_not_packed_again_and_again(spark, root, settings, small_commits):
    keeper = RootUpkeep(spark, settings(compact_commits=1), permitted)
    small_commits(2)
    keeper.step(commits=2)
    packed = delta.describe(root).version
    assert len(holding(spark, root)) == 1
    for committed in (3, 4):
        keeper.step(committed)
    assert delta.describe(root).version == packed


def test_packing_asks_whether_this_process_may_write(spark, root, settings, small_commits):
    small_commits(2)

    def lost():
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        RootUpkeep(spark, settings(compact_commits=1), lost).step(commits=2)
    assert len(holding(spark, root)) == 2


def test_a_packing_that_is_killed_leaves_the_table_as_it_was(spark, root, settings, small_commits):
    small_commits(3)
    before, written = contents(spark, root), files(root)
    with subprocess.Popen([sys.executable, "-c", PACK, root], start_new_session=True) as packing:
        while files(root) == written and packing.poll() is None:
            time.sleep(0.001)
        os.killpg(packing.pid, signal.SIGKILL)
    assert contents(spark, root) == before
    RootUpkeep(spark, settings(compact_commits=1), permitted).step(commits=3)
    assert contents(spark, root) == before
    assert len(holding(spark, root)) == 1
    upkeep.vacuum(spark, root, 0, datetime.now(UTC))
    assert contents(spark, root) == before
    assert len(files(root)) == 1, "what the killed one had begun is still there"


def test_what_was_written_since_the_clearing_began_is_kept_however_late_it_comes_to_the_table(
    spark, root, settings, small_commits
):
    """As where the machine slept for two hours in between: the vacuum's hours count from the clearing's begin."""
    small_commits(1)
    began = datetime.now(UTC) - timedelta(hours=2)
    left_by_a_task_that_died, in_hand = (written(root, began + timedelta(hours=hours)) for hours in (-1.1, 0.1))
    root_upkeep.clear(spark, settings(vacuum_hours=1), began)
    there = [objects.exists(data_files.uri(delta.folder(root), file)) for file in (left_by_a_task_that_died, in_hand)]
    assert there == [False, True]
    file_commits.add(root, [in_hand])
    assert {row[0] for row in contents(spark, root)} == {"file:///images/Kiwi/0000.jpg", "file:///images/Kiwi/new.jpg"}


def test_what_the_table_needed_until_lately_is_kept_for_its_readers(spark, root, settings, small_commits):
    small_commits(2)
    month_ago = time.time() - 31 * 86400
    old, version = holding(spark, root), delta.describe(root).version
    for file in old:
        os.utime(file.removeprefix("file://"), (month_ago, month_ago))
    upkeep.compact(spark, root, SMALL_BYTES)
    root_upkeep.clear(spark, settings(vacuum_hours=1), datetime.now(UTC))
    assert all(objects.exists(file) for file in old - holding(spark, root))
    assert delta.rows_at(spark, root, version).count() == 2


def test_clearing_away_asks_whether_this_process_may_write(spark, settings):
    def lost():
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        RootUpkeep(spark, settings(clear_hours=0), lost).step(commits=0)


def test_only_manifests_that_are_carried_out_and_old_go_and_the_stream_goes_on(spark, root, tmp_path, settings, capsys):
    uris = fill(tmp_path / "images", 3)
    catch_up = settings(source="events", once=True, manifest_days=7)
    carried_out, fresh, unread = (write_manifest(root, uri, name) for uri, name in zip(uris, ("a", "b", "c"), strict=True))
    Path(unread.removeprefix("file://")).rename(tmp_path / "c")
    ingest(catch_up)
    put(Path(unread.removeprefix("file://")), (tmp_path / "c").read_bytes())
    old = time.time() - WEEK_SECONDS - 60
    for uri in (carried_out, unread):
        os.utime(uri.removeprefix("file://"), (old, old))
    said = root_upkeep.clear(spark, catch_up, datetime.now(UTC))
    assert said.startswith("1 manifests, 0 files of rejected lines, 0 leftovers")
    assert [objects.exists(uri) for uri in (carried_out, fresh, unread)] == [False, True, True]
    capsys.readouterr()
    ingest(catch_up)
    assert capsys.readouterr().out.splitlines()[-1] == "ingest: 1 images featurised, 0 failed"
    assert delta.rows(spark, root).count() == 3


def test_a_stream_that_goes_on_removes_manifests_and_begins_a_full_checkpoint_anew(spark, root, tmp_path, settings, monkeypatch):
    """As an hour later, and with a checkpoint that is full of two manifests."""
    monkeypatch.setattr(root_upkeep, "MOST_NAMED", 2)
    monkeypatch.setattr(root_upkeep, "MANIFESTS_SECONDS", 0.0)
    uris = fill(tmp_path / "images", 3)
    first = [write_manifest(root, uri, name) for uri, name in zip(uris[:2], "ab", strict=True)]
    said = []

    def then(*lines, **_):
        said.extend(map(str, lines))
        if any("a new one begins" in line for line in said) and len(first) == 2:
            first.append(write_manifest(root, uris[2], "c"))
        if any("1 featurised" in line for line in lines):  # of the third manifest, after the first two together
            os.kill(os.getpid(), signal.SIGTERM)

    for module in (checkpoint_renewal, tally):
        monkeypatch.setattr(module, "say", then)
    ingest(settings(source="events", trigger_seconds=0.5))
    assert sum("named over 2 manifests that are gone; a new one begins" in line for line in said) >= 1
    assert delta.rows(spark, root).count() == 3
    assert [objects.exists(uri) for uri in first[:2]] == [False, False]


def test_rejected_lines_and_leftovers_go_when_they_had_their_time(spark, root, settings):
    delta.create(spark, root)
    old = [f"{root}/rejected/000000001-0123.jsonl", f"{root}/checkpoints/ingest/offsets/.4.9ab.tmp"]
    kept = [f"{root}/rejected/000000002-0123.jsonl", f"{root}/checkpoints/ingest/metadata"]
    for uri in (*old, *kept):
        objects.write(uri, b"{}")
    month_ago = time.time() - 31 * 86400
    for uri in (*old, kept[1]):
        os.utime(uri.removeprefix("file://"), (month_ago, month_ago))
    said = root_upkeep.clear(spark, settings(), datetime.now(UTC))
    assert said.startswith("0 manifests, 1 files of rejected lines, 1 leftovers")
    assert [objects.exists(uri) for uri in (*old, *kept)] == [False, False, True, True]


def test_a_stream_clears_away_once_a_day_beside_its_batches(root, tmp_path, settings, capsys):
    fill(tmp_path / "images", 1)
    ingest(settings(once=True))
    assert "upkeep: removed" not in capsys.readouterr().out
    objects.write(f"{root}/cleared.json", b'{"cleared_at": "2026-11-01T00:00:00+00:00"}')
    for expected in (1, 0):
        ingest(settings(once=True))
        assert capsys.readouterr().out.count("upkeep: removed") == expected


def written(root, at):
    """The `add` action of a data file with one row, as a worker wrote it at that moment."""
    row = {"path": "file:///images/Kiwi/new.jpg", "label": "Kiwi", "extractor": "one", "ingested_at": at, "outcome": "featurised"}
    (group,) = data_files.Writer(delta.folder(root), to_merge=False).write(pa.Table.from_pylist([row], OUTCOMES))
    os.utime(data_files.uri(delta.folder(root), group.file).removeprefix("file://"), (at.timestamp(), at.timestamp()))
    return group.file


def write_manifest(root, uri, name):
    target = manifests.manifest_uri(root, datetime.now(UTC), name)
    objects.write(target, f"{manifests.to_line(manifests.ImageEvent('created', uri))}\n".encode())
    return target
