"""What goes to the Python workers, references, and what comes back, outcomes: their columns, as Arrow has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

REFERENCES = pa.schema(
    [  # type: ignore[arg-type]
        pa.field("path", pa.string()),
        pa.field("length", pa.int64()),  # as announced; only a hint for the read-ahead
        pa.field("known_etag", pa.string()),  # what the table has for this extractor, if anything
        pa.field("known_sha256", pa.string()),
        pa.field("good_etag", pa.string()),  # of the row with features that the table has, of whatever extractor
        pa.field("known_error", pa.string()),  # of the row that the table has for this extractor, where it has no etag
        pa.field("is_stale", pa.bool_()),  # that row is of another extractor, and does not say yet that it stays
        pa.field("archived_etag", pa.string()),  # what a listing says of an object that nobody can read before it is restored
    ]
)
OUTCOMES = pa.schema(
    [  # type: ignore[arg-type]
        pa.field("path", pa.string()),
        pa.field("label", pa.string()),
        pa.field("modification_time", pa.timestamp("us", tz="UTC")),
        pa.field("length", pa.int64()),
        pa.field("etag", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("features", pa.list_(pa.float32())),
        pa.field("error", pa.string()),
        pa.field("error_message", pa.string()),
        pa.field("extractor", pa.string()),
        pa.field("ingested_at", pa.timestamp("us", tz="UTC")),
        pa.field("outcome", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image to look at, and what the table knows of it."""

    path: str
    length: int | None = None
    known_etag: str | None = None
    known_sha256: str | None = None
    good_etag: str | None = None
    known_error: str | None = None
    is_stale: bool | None = None
    archived_etag: str | None = None


def references(batches: Iterable[pa.RecordBatch]) -> Iterator[Reference]:
    """The references in record batches with the schema REFERENCES."""
    for batch in batches:
        yield from (Reference(*row) for row in zip(*(batch.column(name).to_pylist() for name in REFERENCES.names), strict=True))


def record_batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as a record batch with the schema OUTCOMES."""
    columns = [_column(field, [row.get(field.name) for row in rows]) for field in OUTCOMES]
    return pa.RecordBatch.from_arrays(columns, schema=OUTCOMES)


def _column(field: pa.Field[Any], values: list[Any]) -> pa.Array[Any]:
    return _features(values) if field.name == "features" else pa.array(values, field.type)


def _features(vectors: list[NDArray[np.float32] | None]) -> pa.ListArray[Any]:
    """A list column built from the vectors' own memory: 1280 Python floats a row would cost more than the model."""
    offsets = np.cumsum([0] + [0 if vector is None else len(vector) for vector in vectors], dtype=np.int32)
    values = np.concatenate([vector for vector in vectors if vector is not None] or [np.empty(0, np.float32)])
    absent = pa.array([vector is None for vector in vectors])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=absent)  # type: ignore[call-overload,no-any-return]
