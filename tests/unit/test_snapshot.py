"""The table as deltalake reads it, where reading does not go well."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound, PlatformFault
from fruitpipe.extractor import arrow_schema
from fruitpipe.table import data_files, data_integrity, delta
from fruitpipe.table import snapshot as snapshot_module
from fruitpipe.table.snapshot import Snapshot
from tests.rows import empty_table


@pytest.fixture
def root(tmp_path):
    empty_table(f"file://{tmp_path}/root")
    return f"file://{tmp_path}/root"


@pytest.fixture
def breaking(monkeypatch):
    """Has so many readings of the log break off."""
    whole = snapshot_module.DeltaTable

    def breaking(times):
        left = iter([OSError("connection reset")] * times)

        def table(*given, **named):
            if error := next(left, None):
                raise error
            return whole(*given, **named)

        monkeypatch.setattr(snapshot_module, "DeltaTable", table)

    return breaking


def test_a_log_whose_reading_breaks_off_is_read_again(root, breaking):
    breaking(snapshot_module.ATTEMPTS - 1)
    assert Snapshot(root).query("SELECT path FROM features") == []


def test_a_log_that_cannot_be_read_is_a_fault_of_the_platform(root, breaking):
    breaking(snapshot_module.ATTEMPTS)
    with pytest.raises(PlatformFault, match=r"features: cannot be read \(connection reset\); try again"):
        Snapshot(root)


def test_where_there_is_no_table_that_is_said_at_once(tmp_path):
    with pytest.raises(NotFound, match="there are no features yet"):
        Snapshot(f"file://{tmp_path}/nothing")


@pytest.fixture
def with_a_row(root):
    """The table with one row, and where the file lies that holds it."""
    rows = pa.Table.from_pylist([{"path": f"{root}/Kiwi/1.jpg"}], arrow_schema.OUTCOMES).drop_columns("outcome")
    add = data_files._add(delta.folder(root), rows)
    objects.write(delta.file_uri(root, f"_delta_log/{1:020}.json"), add.encode())
    return Path(data_files.uri(delta.folder(root), add).removeprefix("file://"))


def test_rows_whose_reading_breaks_off_are_read_again(root, with_a_row, monkeypatch):
    body, execute = with_a_row.read_bytes(), Snapshot._execute
    taken = Snapshot(root)
    with_a_row.write_bytes(body[: len(body) // 2])
    asked = []

    def executed(snapshot, sql):
        asked.append(sql)
        if len(asked) == snapshot_module.ATTEMPTS:
            with_a_row.write_bytes(body)
        return execute(snapshot, sql)

    monkeypatch.setattr(Snapshot, "_execute", executed)
    assert taken.query("SELECT path FROM features") == [{"path": f"{root}/Kiwi/1.jpg"}]
    assert len(asked) == snapshot_module.ATTEMPTS


def test_a_data_file_that_is_missing_is_named_with_the_command_that_mends_it(root, with_a_row):
    with_a_row.unlink()
    with pytest.raises(Damaged, match=rf"{with_a_row.name} is missing, with 1 rows; run fruitpipe reconcile .* --repair"):
        Snapshot(root).query("SELECT path FROM features")


def test_a_data_file_that_was_cut_is_named(root, with_a_row):
    size = with_a_row.stat().st_size
    with_a_row.write_bytes(with_a_row.read_bytes()[: size // 2])
    with pytest.raises(Damaged, match=rf"{with_a_row.name} has {size // 2} bytes in place of {size}"):
        Snapshot(root).query("SELECT path FROM features")


def test_a_data_file_of_the_right_size_that_is_none_is_named(root, with_a_row):
    with_a_row.write_bytes(bytes(with_a_row.stat().st_size))
    with pytest.raises(Damaged, match=rf"{with_a_row.name} does not read back \("):
        Snapshot(root).query("SELECT path FROM features")


def test_a_commit_that_was_cut_is_named(root, with_a_row):  # noqa: ARG001
    objects.write(delta.file_uri(root, f"_delta_log/{1:020}.json"), b'{"add": {"pa')
    with pytest.raises(Damaged, match=rf"_delta_log/{1:020}.json: is no commit .*; restore it from a backup"):
        Snapshot(root).query("SELECT path FROM features")


def test_an_empty_commit_which_readers_skip_is_named(root, with_a_row):  # noqa: ARG001
    Snapshot(root).check_whole()
    objects.write(delta.file_uri(root, f"_delta_log/{1:020}.json"), b"")
    assert Snapshot(root).query("SELECT path FROM features") == []
    with pytest.raises(Damaged, match=rf"_delta_log/{1:020}.json: is an empty commit of the table's log; restore it"):
        Snapshot(root).check_whole()


def test_a_missing_file_that_no_query_reads_is_named_all_the_same(root, with_a_row):
    with_a_row.unlink()
    assert Snapshot(root).query("SELECT path FROM features WHERE error IS NOT NULL") == []
    with pytest.raises(Damaged, match=f"{with_a_row.name} is missing"):
        Snapshot(root).check_whole()


def test_a_commit_that_is_missing_is_named(root, with_a_row):  # noqa: ARG001
    objects.write(delta.file_uri(root, f"_delta_log/{3:020}.json"), b'{"commitInfo": {}}')
    with pytest.raises(Damaged, match=rf"_delta_log/{2:020}.json: is missing from the table's log; restore it"):
        Snapshot(root).query("SELECT path FROM features")


def test_a_fault_in_what_is_made_of_rows_is_no_fault_of_their_reading(root, with_a_row):  # noqa: ARG001
    asked = []

    def made_of(batch):
        asked.append(batch)
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        Snapshot(root).each("SELECT path FROM features", made_of)
    assert len(asked) == 1


def test_a_sound_file_of_which_the_log_tells_no_number_of_rows_is_not_taken_for_damaged(root, with_a_row):  # noqa: ARG001
    """As of one that was written while Delta was told to collect no statistics."""
    uri = f"{root}/features/_delta_log/{1:020}.json"
    add = json.loads(objects.read(uri))
    objects.write(uri, json.dumps({"add": {key: told for key, told in add["add"].items() if key != "stats"}}).encode())
    table = Snapshot(root)
    assert [file.rows for file in table.files()] == [0]
    assert data_integrity.damaged(table) == []


@pytest.mark.parametrize(
    ("note", "counts"),
    [
        ('{"featurised": 2}', {"featurised": 2}),
        (None, {}),
        ("backfill of November", {}),
        ("[1]", {}),
        ('{"by": "somebody"}', {}),
    ],
)
def test_what_a_commit_notes_of_its_images_is_read_and_somebody_elses_note_is_none(root, with_a_row, note, counts):  # noqa: ARG001
    uri = f"{root}/features/_delta_log/{1:020}.json"
    info = {"timestamp": 1, "operation": "WRITE"} | ({"userMetadata": note} if note else {})
    objects.write(uri, json.dumps({"commitInfo": info}).encode() + b"\n" + objects.read(uri))
    assert [commit.outcomes for commit in Snapshot(root).batches()] == [counts]
