"""Commits that name data files, by deltalake: what they leave in the table's log, and on which drives."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import CommitFailedError

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, PlatformFault, WrongRoot
from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.table import delta, file_commits, first_commit, upkeep
from fruitpipe.table.data_files import Writer
from fruitpipe.table.fence import APPLICATION, Fence
from fruitpipe.table.first_commit import WRITER_FEATURES
from fruitpipe.table.snapshot import INTERVAL, DataFile, Snapshot

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Answers `Operation not permitted` to whoever makes a hard link, in this process and its threads, as a memory card does.
LINKLESS = """
import ctypes, struct, sys
numbers = [86, 265] if sys.argv[1] == "x86_64" else [37]
steps = [(0x20, 0, 0, 0), *((0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers))]
steps += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
filtered = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, filtered, 0, 0) == 0
"""
APPENDS = """
from fruitpipe.table import file_commits
from fruitpipe.table.fence import Fence

file_commits.add(sys.argv[2], [sys.argv[3]], Fence(sys.argv[2], lambda: None))
"""


@pytest.fixture
def root(tmp_path):
    root = f"file://{tmp_path}/root"
    delta.begin(root, lambda: None, 168)
    return root


@pytest.fixture
def often(monkeypatch, tmp_path):
    """The root of a table of which each third version has a checkpoint."""
    monkeypatch.setitem(delta.PROPERTIES, INTERVAL, "3")
    root = f"file://{tmp_path}/often"
    delta.begin(root, lambda: None, 168)
    return root


def written(root, *names):
    fixed = {"label": "in", "extractor": "e", "ingested_at": NOON, "outcome": "featurised"}
    rows = pa.Table.from_pylist([{"path": f"file:///in/{name}.jpg", **fixed} for name in names], OUTCOMES)
    return [group.file for group in Writer(delta.folder(root), to_merge=False).write(rows)]


def fenced(root):
    return Fence(root, lambda: None)


def log(root):
    return Path(root.removeprefix("file://"), "features", "_delta_log")


def entry(root, version):
    return [json.loads(line) for line in (log(root) / f"{version:020}.json").read_text().splitlines()]


def added(root, version):
    (add,) = [action["add"] for action in entry(root, version) if "add" in action]
    return add


def paths(root):
    return sorted(objects.name(row["path"]) for row in Snapshot(root).query("SELECT path FROM features"))


def test_an_append_is_one_entry_of_the_log_with_its_number_and_the_images_by_outcome(root):
    fence = fenced(root)
    for name in "ab":
        file_commits.add(root, written(root, name), fence, {"featurised": 1})
    kinds = {kind: action for action in entry(root, 2) for kind, action in action.items()}
    assert kinds.keys() == {"commitInfo", "txn", "add"}
    assert (kinds["txn"]["appId"], kinds["txn"]["version"]) == (APPLICATION, 2)
    assert json.loads(kinds["commitInfo"]["userMetadata"]) == {"featurised": 1}
    assert kinds["add"]["dataChange"]
    assert paths(root) == ["a.jpg", "b.jpg"]


def test_without_files_there_is_no_commit(root):
    file_commits.add(root, [], fenced(root))
    file_commits.drop(root, [], fenced(root))
    assert Snapshot(root).version == 0


def test_a_file_that_is_dropped_goes_with_its_rows_under_a_number_of_its_own(root):
    fence = fenced(root)
    for name in "ab":
        file_commits.add(root, written(root, name), fence)
    (lost,) = [file for file in Snapshot(root).files() if file.path == added(root, 1)["path"]]
    (log(root).parent / lost.path).unlink()
    file_commits.drop(root, [lost], fence)
    (remove,) = [action["remove"] for action in entry(root, 3) if "remove" in action]
    assert (remove["path"], remove["size"], remove["dataChange"]) == (lost.path, lost.size_bytes, True)
    assert paths(root) == ["b.jpg"]
    file_commits.add(root, written(root, "c"), fence)
    assert Snapshot(root).number_of(APPLICATION) == 4


def test_a_table_with_features_that_deltalake_does_not_know_is_told_apart_and_keeps_its_files(tmp_path, monkeypatch):
    more = {"writerFeatures": [*WRITER_FEATURES, "rowTracking", "domainMetadata"]}
    monkeypatch.setattr(first_commit, "PROTOCOL", first_commit.PROTOCOL | more)
    root = f"file://{tmp_path}/root"
    delta.begin(root, lambda: None, 168)
    assert not file_commits.can_commit(Snapshot(root))
    with pytest.raises(WrongRoot, match=r"it has the features domainMetadata, rowTracking of Delta; take those away"):
        file_commits.drop(root, [DataFile("part-0.parquet", 1, 1)], fenced(root))


@pytest.mark.skipif(sys.platform != "linux", reason="needs linux: other systems refuse no call of a process on its own wish")
def test_a_drive_without_hard_links_takes_commits_all_the_same(root):
    (file,) = written(root, "a")
    command = [sys.executable, "-c", LINKLESS + APPENDS, platform.machine(), root, file]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=os.environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert paths(root) == ["a.jpg"]


def test_a_commit_is_made_after_those_of_others_that_change_no_row(root, monkeypatch):
    """As a vacuum's, which runs beside the batches."""
    fence, others = fenced(root), iter([1, 2])
    number_after = fence.number_after

    def beside(version):
        number = number_after(version)
        for other in others:
            (log(root) / f"{other:020}.json").write_text('{"commitInfo": {"operation": "VACUUM START"}}\n')
        return number

    monkeypatch.setattr(fence, "number_after", beside)
    file_commits.add(root, written(root, "a"), fence)
    assert paths(root) == ["a.jpg"]
    assert Snapshot(root).version == 3


def test_a_commit_is_refused_after_rows_of_somebody_elses_and_where_the_lease_is_lost(root, monkeypatch):
    fence, other = fenced(root), fenced(root)
    number_after, names = fence.number_after, iter("b")

    def stands_still(version):
        number = number_after(version)
        for name in names:
            file_commits.add(root, written(root, name), other)
        return number

    monkeypatch.setattr(fence, "number_after", stands_still)
    with pytest.raises(LeaseLost, match="somebody else changed rows after version 0"):
        file_commits.add(root, written(root, "a"), fence)

    def lost():
        raise LeaseLost("another holds it")

    with pytest.raises(LeaseLost, match="another holds it"):
        file_commits.add(root, written(root, "a"), Fence(root, lost))
    assert paths(root) == ["b.jpg"]


@pytest.mark.parametrize("call", ["add", "drop"])
def test_a_commit_of_which_no_answer_comes_is_found_in_the_log(root, monkeypatch, call):
    fence = fenced(root)
    file_commits.add(root, written(root, "a"), fence)
    commit = deltalake.DeltaTable.create_write_transaction

    def unanswered(*arguments, **named):
        commit(*arguments, **named)
        raise OSError("the connection was closed")

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", unanswered)
    given = written(root, "b") if call == "add" else Snapshot(root).files()
    getattr(file_commits, call)(root, given, fence)
    assert paths(root) == (["a.jpg", "b.jpg"] if call == "add" else [])
    assert Snapshot(root).version == 2


def test_a_commit_whose_requests_are_lost_on_their_way_is_made_again(root, monkeypatch):
    fence, fates = fenced(root), ["lost", "lost"]
    commit = deltalake.DeltaTable.create_write_transaction

    def lost(*arguments, **named):
        if fates:
            raise OSError(fates.pop())
        commit(*arguments, **named)

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", lost)
    monkeypatch.setattr(file_commits, "PAUSE_SECONDS", 0.0)
    file_commits.add(root, written(root, "a"), fence)
    assert (fates, paths(root), Snapshot(root).version) == ([], ["a.jpg"], 1)


def test_a_store_that_takes_no_commit_is_the_platforms_fault(root, monkeypatch):
    def full(*_, **__):
        raise CommitFailedError("no space left on device")

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", full)
    monkeypatch.setattr(file_commits, "PAUSE_SECONDS", 0.0)
    with pytest.raises(PlatformFault, match=r"cannot be written \(no space left on device\); start again"):
        file_commits.add(root, written(root, "a"), fenced(root))


def test_a_checkpoint_is_written_at_the_versions_at_which_delta_writes_one(often):
    fence = fenced(often)
    for name in "abcdefg":
        file_commits.add(often, written(often, name), fence)
    assert sorted(path.name for path in log(often).glob("*.checkpoint.*")) == [f"{at:020}.checkpoint.parquet" for at in (3, 6)]
    rows = pq.read_table(log(often) / f"{6:020}.checkpoint.parquet").to_pylist()
    held = [(kind, value) for row in rows for kind, value in row.items() if value]
    assert [value["writerFeatures"] for kind, value in held if kind == "protocol"] == [WRITER_FEATURES]
    assert [(value["appId"], value["version"]) for kind, value in held if kind == "txn"] == [(APPLICATION, 6)]
    adds = {value["path"]: json.loads(value["stats"]) for kind, value in held if kind == "add"}
    assert adds == {add["path"]: json.loads(add["stats"]) for at in range(1, 7) for add in [added(often, at)]}
    assert len(held) == 1 + 1 + 1 + 6


def test_a_checkpoint_that_cannot_be_written_costs_no_row_and_is_told(often, capsys):
    fence = fenced(often)
    (log(often) / f"{3:020}.checkpoint.parquet" / "in the way").mkdir(parents=True)
    for name in "abcd":
        file_commits.add(often, written(often, name), fence)
    assert "a checkpoint of the table's log cannot be written (" in capsys.readouterr().out
    (log(often) / f"{3:020}.checkpoint.parquet" / "in the way").rmdir()
    (log(often) / f"{3:020}.checkpoint.parquet").rmdir()
    assert paths(often) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_what_is_older_of_the_log_than_the_table_remembers_goes_where_a_checkpoint_stands_for_it(often):
    fence = fenced(often)
    for name in "abcdefgh":
        file_commits.add(often, written(often, name), fence)
    (log(often) / f".{2:020}.json.crc").touch()  # as Hadoop writes one beside each file
    age(often, range(8))
    upkeep.clear_log(often, datetime.now(UTC))
    left = sorted(path.name for path in log(often).iterdir() if not path.name.startswith("_"))
    assert left == [f"{6:020}.checkpoint.parquet", *(f"{at:020}.json" for at in (6, 7, 8))]
    assert paths(often) == [f"{name}.jpg" for name in "abcdefgh"]
    assert len(Snapshot(often, 7).files()) == 7, "as it was a week ago"


@pytest.mark.parametrize("aged", [0, 3])
def test_the_log_stays_that_no_checkpoint_stands_for(often, aged):
    fence = fenced(often)
    for name in "abcd":
        file_commits.add(often, written(often, name), fence)
    age(often, range(aged))
    before = {path.name for path in log(often).iterdir()}
    upkeep.clear_log(often, datetime.now(UTC))
    assert {path.name for path in log(often).iterdir()} == before


def age(root, versions):
    """Has the log's files of these versions be older than the week that the table remembers."""
    then = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    for version in versions:
        for path in [*log(root).glob(f"{version:020}.*"), *log(root).glob(f".{version:020}.*")]:
            os.utime(path, (then, then))
