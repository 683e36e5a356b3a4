"""Whether a checkpoint of the table's log holds the whole table, checkpoints being written by deltalake."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.errors import PlatformFault
from fruitpipe.extractor import arrow_schema
from fruitpipe.table import data_files, delta, log_files
from fruitpipe.table.snapshot import Snapshot
from tests.rows import empty_table


@pytest.fixture
def root(tmp_path):
    """Three commits: the empty table, then two files of one row and of two."""
    root = f"file://{tmp_path}/root"
    empty_table(root)
    for version in (1, 2):
        rows = [{"path": f"{root}/Kiwi/{version}-{number}.jpg"} for number in range(version)]
        add = data_files._add(delta.folder(root), pa.Table.from_pylist(rows, arrow_schema.OUTCOMES).drop_columns("outcome"))
        objects.write(delta.file_uri(root, f"_delta_log/{version:020}.json"), add.encode())
    return root


@pytest.fixture
def checkpoint(root):
    """Where the checkpoint of version 2 lies."""
    deltalake.DeltaTable(delta.folder(root).removeprefix("file://")).create_checkpoint()
    return Path(delta.file_uri(root, f"_delta_log/{2:020}.checkpoint.parquet").removeprefix("file://"))


def test_a_checkpoint_that_holds_the_whole_table_will_do(root, checkpoint):  # noqa: ARG001 - written
    log_files.check_checkpoint(Snapshot(root))


def test_a_checkpoint_that_was_never_written_is_missed_though_its_table_can_be_read(root):
    assert len(Snapshot(root).files()) == 2
    with pytest.raises(PlatformFault, match=r"version 2 cannot stand for the log before it \(0 of its 1 files are there\)"):
        log_files.check_checkpoint(Snapshot(root))


def test_a_checkpoint_of_fewer_files_than_the_table_is_refused(root, checkpoint):
    table, whole = Snapshot(root), pq.read_table(checkpoint)
    added = [row["add"] is not None for row in whole.select(["add"]).to_pylist()]
    first = added.index(True)
    pq.write_table(whole.filter(pa.array([number != first for number in range(len(whole))])), checkpoint)
    with pytest.raises(PlatformFault, match=r"it holds 1 files of \d rows, the table 2 files of 3 rows"):
        log_files.check_checkpoint(table)


@pytest.mark.parametrize("column", ["protocol", "metaData"])
def test_a_checkpoint_without_protocol_or_columns_is_refused(root, checkpoint, column):
    table, whole = Snapshot(root), pq.read_table(checkpoint)
    kept = [row[column] is None for row in whole.select([column]).to_pylist()]
    pq.write_table(whole.filter(pa.array(kept)), checkpoint)
    with pytest.raises(PlatformFault, match="it lacks the table's protocol or columns"):
        log_files.check_checkpoint(table)


def test_a_checkpoint_that_was_cut_is_refused(root, checkpoint):
    table = Snapshot(root)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    with pytest.raises(PlatformFault, match="cannot stand for the log before it"):
        log_files.check_checkpoint(table)


def test_a_pointer_to_another_checkpoint_is_refused(root, checkpoint):
    table, last = Snapshot(root), checkpoint.with_name("_last_checkpoint")
    last.write_text(json.dumps(json.loads(last.read_text()) | {"version": 1}))
    with pytest.raises(PlatformFault, match="_last_checkpoint names version 1"):
        log_files.check_checkpoint(table)


def test_only_earlier_files_of_the_log_are_before_a_version(root, checkpoint):  # noqa: ARG001 - written
    names = sorted(name for uri in log_files.before(delta.folder(root), 2) if not (name := objects.name(uri)).endswith(".lock"))
    assert names == [f"{0:020}.json", f"{1:020}.json"]
