"""The hashes that are kept between starts, against a full reading of the table, whatever becomes of table and file."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from itertools import islice

import pytest

from fruitpipe import objects
from fruitpipe.runtime import local_folders
from fruitpipe.table import hash_file, kept_hashes, path_hashes, row_changes
from fruitpipe.table.row_store import joined
from tests.rows import empty_table, put_rows

NOW = datetime(2026, 11, 26, tzinfo=UTC)
PREFIX = "s3://b/in"


def stats(*numbers, etag="1"):
    return [objects.Stat(f"{PREFIX}/{number}.jpg", etag, 1, NOW) for number in numbers]


def rows_of(index):
    return [column.tolist() for column in joined([rows for (rows,) in index.parts()])]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_hashes, "WORTH", 3)
    monkeypatch.setattr(local_folders, "own", lambda: tmp_path)


@pytest.fixture
def root(tmp_path):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    put_rows(root, stats(1, 2, 3), 1)
    return root


@pytest.fixture
def full_readings(monkeypatch):
    """Counts the readings of all rows."""
    read, of_table = [], path_hashes.of_table
    monkeypatch.setattr(path_hashes, "of_table", lambda *given: read.append(given) or of_table(*given))
    return read


def is_full(root):
    """Whether the hashes are those of a full reading, each time that they are read."""
    return all(rows_of(kept_hashes.of_rows(root, PREFIX)) == rows_of(path_hashes.of_rows(root, PREFIX)) for _ in range(2))


def test_a_start_reads_what_was_added_since_the_last_and_not_the_whole_table(root, full_readings):
    first = rows_of(kept_hashes.of_rows(root, PREFIX))
    assert (rows_of(kept_hashes.of_rows(root, PREFIX)), len(full_readings)) == (first, 1)
    put_rows(root, stats(4, 5), 2)
    put_rows(root, [*stats(6), objects.Stat("s3://b/elsewhere/7.jpg", "1", 1, NOW)], 3)
    kept = rows_of(kept_hashes.of_rows(root, PREFIX))
    assert len(full_readings) == 1
    assert kept == rows_of(path_hashes.of_rows(root, PREFIX))
    assert rows_of(kept_hashes.of_rows(root, PREFIX)) == kept


def test_another_prefix_and_another_table_in_the_same_place_are_read_anew(root, full_readings, tmp_path):
    kept_hashes.of_rows(root, PREFIX)
    assert len(kept_hashes.of_rows(root, "s3://b/elsewhere").below()) == 0
    assert len(full_readings) == 2
    shutil.rmtree(tmp_path / "root")
    empty_table(root)
    put_rows(root, stats(7, 8, 9), 1)
    assert is_full(root)


def test_a_small_table_is_read_and_nothing_kept_not_even_of_when_it_was_large(root, monkeypatch):
    kept_hashes.of_rows(root, PREFIX)
    assert kept_hashes.place(root).exists()
    monkeypatch.setattr(kept_hashes, "WORTH", 4)
    assert is_full(root)
    assert not kept_hashes.place(root).exists()


def test_a_table_that_was_restored_and_went_on_otherwise_is_read_anew(root, tmp_path, full_readings):
    """Its id, its version and its number of rows are those of the file."""
    shutil.copytree(tmp_path / "root", tmp_path / "backup")
    put_rows(root, stats(4), 2)
    kept_hashes.of_rows(root, PREFIX)
    shutil.rmtree(tmp_path / "root")
    shutil.copytree(tmp_path / "backup", tmp_path / "root")
    put_rows(root, stats(5), 2)
    assert is_full(root)
    assert len(full_readings) == 4


@pytest.mark.parametrize("bound", ["MOST_COMMITS", "MOST_CHANGES"])
def test_after_more_changes_than_are_worth_it_all_rows_are_read(root, monkeypatch, full_readings, bound):
    kept_hashes.of_rows(root, PREFIX)
    put_rows(root, stats(4, 5), 2)
    put_rows(root, stats(6), 3)
    monkeypatch.setattr(row_changes, bound, 3)
    kept_hashes.of_rows(root, PREFIX)
    assert len(full_readings) == 1
    put_rows(root, stats(7, 8), 4)
    put_rows(root, stats(9, 10), 5)
    monkeypatch.setattr(row_changes, bound, 1)
    assert is_full(root)
    assert len(full_readings) == 4


def test_an_image_with_two_rows_has_all_rows_read_at_each_start(root, full_readings):
    kept_hashes.of_rows(root, PREFIX)
    put_rows(root, stats(3), 2)
    assert rows_of(kept_hashes.of_rows(root, PREFIX)) == rows_of(kept_hashes.of_rows(root, PREFIX))
    assert len(full_readings) == 3


def test_without_the_history_of_the_table_all_rows_are_read(root, monkeypatch, full_readings):
    kept_hashes.of_rows(root, PREFIX)
    put_rows(root, stats(4), 2)
    monkeypatch.setattr(row_changes, "since", lambda *_: None)
    assert len(kept_hashes.of_rows(root, PREFIX)) == 4
    assert len(full_readings) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:-1],
        lambda body: body[:-30],
        lambda body: body[: body.index(b"\n") + 9] + b"x" + body[body.index(b"\n") + 10 :],
        lambda body: body.replace(b'"rows": 3', b'"rows": 2'),
        lambda body: body.replace(b'"format": 1', b'"format": 0'),
        lambda body: body[:0],
        lambda body: b"no JSON\n" + body,
        lambda body: b"[]\n" + body,
    ],
)
def test_a_damaged_file_counts_as_none(root, spoil):
    kept_hashes.of_rows(root, PREFIX)
    file = kept_hashes.place(root)
    assert hash_file.read(file)
    file.write_bytes(spoil(file.read_bytes()))
    assert hash_file.read(file) is None
    assert is_full(root)
    assert hash_file.read(file)


def test_they_are_those_of_the_first_call_until_they_are_dropped_with_their_file(root):
    kept = kept_hashes.KeptRowHashes(root, PREFIX)
    first = kept()
    put_rows(root, stats(4), 2)
    assert kept() is first
    assert kept_hashes.place(root).stat().st_mode & 0o777 == 0o600
    kept.drop()
    assert not kept_hashes.place(root).exists()
    assert len(kept()) == 4
    kept.drop()
    kept.drop()


def test_a_folder_that_cannot_be_written_costs_a_line(root, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hash_file, "write", full)
    assert is_full(root)
    said = capsys.readouterr().err.splitlines()[0]
    assert said.endswith("cannot be written ([Errno 28] No space left on device), so the next start reads all rows again")


def test_a_write_that_fails_halfway_leaves_nothing(root, tmp_path, monkeypatch, capsys):
    def halfway(facts, index):
        yield from islice(bodies(facts, index), 2)
        raise OSError(28, "No space left on device")

    bodies, before = hash_file._bodies, {*tmp_path.iterdir()}
    monkeypatch.setattr(hash_file, "_bodies", halfway)
    kept_hashes.of_rows(root, PREFIX)
    assert "cannot be written" in capsys.readouterr().err
    assert {*tmp_path.iterdir()} - before == {tmp_path / "cache"}
    assert not [*kept_hashes.place(root).parent.iterdir()]


def test_files_of_roots_that_are_no_longer_read_are_removed_by_any_start(root, tmp_path):
    kept_hashes.of_rows(root, PREFIX)
    other, older = kept_hashes.place(f"{root}2"), kept_hashes.place(f"{root}3")
    other.touch()
    older.touch()
    os.utime(older, (0, 0))
    kept_hashes.of_rows(f"file://{tmp_path}/none", PREFIX)
    assert (other.exists(), older.exists()) == (True, False)


def test_where_there_is_no_table_any_more_there_is_no_hash(root, tmp_path):
    kept_hashes.of_rows(root, PREFIX)
    shutil.rmtree(tmp_path / "root")
    assert len(kept_hashes.of_rows(root, PREFIX)) == 0
    assert not kept_hashes.place(root).exists()
