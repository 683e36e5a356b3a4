"""What a worker writes down of its outcomes, read by another reader than the product's."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.table.data_files import ROWS, Writer

SECOND = timedelta(seconds=1)
NOON = datetime(2026, 3, 1, 12, 0, 0, 1_234, UTC)


def outcome(name, what, **more):
    row = {"path": f"file:///in/Kiwi/{name}", "label": "Kiwi", "outcome": what, "extractor": "e", "ingested_at": NOON}
    return row | more


OF_EACH = [
    outcome("b.jpg", "featurised", features=np.arange(4, dtype=np.float32), length=9, modification_time=NOON - 2 * SECOND),
    outcome("a.jpg", "featurised", features=np.ones(4, np.float32), length=7, modification_time=NOON - 5 * SECOND),
    outcome("c.jpg", "failed", error="empty", error_message="0 bytes", length=0, modification_time=NOON),
    outcome("d.jpg", "unchanged"),
    outcome("e.jpg", "touched", etag="new"),
    outcome("f.jpg", "gone"),
]


@pytest.fixture
def write(tmp_path):
    def write(outcomes, *, to_merge=False):
        """The groups, the `add` actions and the table in each file."""
        groups = Writer(f"file://{tmp_path}", to_merge).write(pa.Table.from_pylist(outcomes, OUTCOMES))
        adds = [json.loads(file)["add"] for file in sorted({group.file for group in groups if group.file})]
        return groups, adds, [pq.read_table(tmp_path / add["path"]) for add in adds]

    return write


def test_a_file_to_append_holds_the_rows_and_nothing_else(write):
    _, (add,), (rows,) = write(OF_EACH)
    assert rows.schema.names == [name for name in OUTCOMES.names if name != "outcome"]
    assert rows["path"].to_pylist() == [row["path"] for row in OF_EACH if row["outcome"] in ROWS]
    assert rows["features"].to_pylist() == [[0, 1, 2, 3], [1, 1, 1, 1], None]
    assert rows["ingested_at"].to_pylist() == [NOON] * 3
    assert add["dataChange"] is True
    assert add["partitionValues"] == {}


def test_a_file_to_merge_holds_whatever_changes_the_table(write):
    _, _, (rows,) = write(OF_EACH, to_merge=True)
    assert rows["outcome"].to_pylist() == ["featurised", "featurised", "failed", "touched", "gone"]


@pytest.mark.parametrize("to_merge", [False, True])
def test_where_no_row_changes_there_is_no_file(write, tmp_path, to_merge):
    groups, adds, _ = write([outcome("d.jpg", "unchanged")], to_merge=to_merge)
    assert [(group.outcome, group.images, group.file) for group in groups] == [("unchanged", 1, None)]
    assert adds == []
    assert list(tmp_path.iterdir()) == []


def test_what_came_out_alike_is_counted_with_the_longest_lag_and_a_message(write):
    groups, _, _ = write(OF_EACH)
    told = {(group.outcome, group.error): (group.images, group.lag, group.message) for group in groups}
    assert told == {
        ("featurised", None): (2, 5.0, None),
        ("failed", "empty"): (1, 0.0, "0 bytes"),
        ("unchanged", None): (1, None, None),
        ("touched", None): (1, None, None),
        ("gone", None): (1, None, None),
    }


def test_the_log_is_told_the_size_and_bounds_that_leave_no_row_out(write, tmp_path):
    _, (add,), (rows,) = write(OF_EACH)
    stats = json.loads(add["stats"])
    assert add["size"] == Path(tmp_path, add["path"]).stat().st_size
    assert stats["numRecords"] == len(rows)
    assert stats["minValues"]["path"] == "file:///in/Kiwi/a.jpg"
    assert stats["maxValues"]["path"] == "file:///in/Kiwi/c.jpg"
    assert (stats["minValues"]["length"], stats["maxValues"]["length"]) == (0, 9)
    assert stats["minValues"]["ingested_at"] == "2026-03-01T12:00:00.001Z", "later than its row"
    assert stats["maxValues"]["ingested_at"] == "2026-03-01T12:00:00.002Z", "earlier than its row"
    assert stats["nullCount"]["error"] == 2


def test_a_column_of_nothing_has_no_bounds(write):
    _, (add,), _ = write(OF_EACH[:1])
    stats = json.loads(add["stats"])
    assert "error" not in stats["minValues"]
    assert stats["nullCount"]["error"] == 1


def test_what_is_gone_is_told_by_name(write):
    groups, _, _ = write([*OF_EACH, outcome("g.jpg", "gone")], to_merge=True)
    assert {group.outcome: group.gone for group in groups if group.gone} == {
        "gone": ["file:///in/Kiwi/f.jpg", "file:///in/Kiwi/g.jpg"]
    }
