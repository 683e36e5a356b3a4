"""Writes outcomes into a data file of the features table, on the worker that made them, and returns its action for Delta's log.

Spark would take each row through Java to write it, for a seventh of the processor time. A file is a part of the table only once a
commit names it: the vacuum removes files that a task left that was killed, or ran twice.
"""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fruitpipe import objects
from fruitpipe.outcome import Outcome

STATISTICS = ("path", "label", "modification_time", "length", "error", "extractor", "ingested_at")  # columns.PROPERTIES
SENSELESS = ("error_message", "sha256", "etag", "features")  # not dictionary-encoded: values are hardly ever equal
ROWS = (Outcome.FEATURISED, Outcome.FAILED)  # outcomes that are rows of the table
NO_CHANGES = (Outcome.UNCHANGED, Outcome.KEPT)  # outcomes that leave it as it is


class Group(NamedTuple):
    """The references of a task that have the same outcome and error.

    lag: the longest from an image's upload to its row, in seconds; what was not read has none. message: of one that failed. file:
    the `add` action of the file that holds the task's rows, as Delta's protocol has it in JSON, if it has any. gone: the paths of
    those that are.
    """

    outcome: str
    error: str | None
    images: int
    lag: float | None
    message: str | None
    file: str | None
    gone: list[str] | None = None


GROUPS = (
    "outcome string, error string, images long, lag double, message string, file string, gone array<string>"  # as Spark has it
)
GROUPS_SCHEMA = pa.schema(
    [  # type: ignore[arg-type]
        pa.field("outcome", pa.string()),
        pa.field("error", pa.string()),
        pa.field("images", pa.int64()),
        pa.field("lag", pa.float64()),
        pa.field("message", pa.string()),
        pa.field("file", pa.string()),
        pa.field("gone", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Writer:
    """Writes one data file of a task's rows into `folder`. Goes to the workers.

    to_merge: the file is to be read by a MERGE, so it holds every outcome that changes the table, and the column `outcome`.
    """

    folder: str
    to_merge: bool

    def write(self, outcomes: pa.Table) -> list[Group]:
        """Writes the rows among `outcomes`, a table with the schema OUTCOMES."""
        if self.to_merge:
            rows = outcomes.filter(~pc.field("outcome").isin(NO_CHANGES))
        else:
            rows = outcomes.filter(pc.field("outcome").isin(ROWS)).drop_columns("outcome")
        return _groups(outcomes, _add(self.folder, rows) if len(rows) else None)


def uri(folder: str, add: str) -> str:
    """The URI of the file of an `add` action."""
    return objects.join(folder, json.loads(add)["add"]["path"])


def _add(folder: str, rows: pa.Table) -> str:
    """Writes a file and returns its `add` action, with the statistics by which Delta's readers choose among files."""
    name = f"part-{uuid.uuid4()}.zstd.parquet"
    file = io.BytesIO()
    dictionaries = [column for column in rows.column_names if column not in SENSELESS]
    options: Any = {"use_dictionary": dictionaries, "write_statistics": dictionaries, "write_page_checksum": True}
    pq.write_table(rows, file, compression="zstd", compression_level=1, **options)
    objects.add(objects.join(folder, name), file.getvalue())
    add = {
        "path": name,
        "partitionValues": {},
        "size": file.tell(),
        "modificationTime": round(datetime.now(UTC).timestamp() * 1000),
        "dataChange": True,
        "stats": json.dumps(_statistics(rows), ensure_ascii=False),
    }
    return json.dumps({"add": add}, ensure_ascii=False)


def _statistics(rows: pa.Table) -> dict[str, Any]:
    """Number of rows, and nulls, least and greatest value of each column of STATISTICS, as Delta's protocol has them."""
    least, greatest = {}, {}
    for name in STATISTICS:
        ends: Any = pc.min_max(rows[name]).as_py()
        if ends["min"] is not None:
            least[name], greatest[name] = _told(ends["min"], up=False), _told(ends["max"], up=True)
    nulls = {name: rows[name].null_count for name in STATISTICS}
    return {"numRecords": len(rows), "minValues": least, "maxValues": greatest, "nullCount": nulls}


def _told(value: Any, *, up: bool) -> Any:
    """A value for the statistics. Times have milliseconds there: the least is rounded down, the greatest up."""
    if not isinstance(value, datetime):
        return value
    rounded = value + timedelta(microseconds=-value.microsecond % 1000) if up else value
    return rounded.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _groups(outcomes: pa.Table, add: str | None) -> list[Group]:
    microseconds = pc.subtract(outcomes["ingested_at"], outcomes["modification_time"]).cast(pa.int64())
    timed = outcomes.select(["outcome", "error", "error_message"]).append_column("lag", microseconds)
    grouped = timed.group_by(["outcome", "error"]).aggregate([([], "count_all"), ("lag", "max"), ("error_message", "min")])
    return [
        Group(row["outcome"], row["error"], row["count_all"], _seconds(row["lag_max"]), row["error_message_min"], add, gone)
        for row in grouped.to_pylist()
        for gone in [_paths_of(outcomes, row["outcome"]) if row["outcome"] == Outcome.GONE else None]
    ]


def _paths_of(outcomes: pa.Table, outcome: str) -> list[str]:
    paths: list[Any] = outcomes.filter(pc.field("outcome") == outcome)["path"].to_pylist()
    return paths


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
