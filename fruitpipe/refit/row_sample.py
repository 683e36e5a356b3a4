"""A sample of the table's vectors, for classifier and report: the same images whatever the partitioning; decodes little."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fruitpipe.reduction.moments import finite_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from fruitpipe.refit.on_spark import Source

SCHEMA = "path string, label string, features array<float>"
RANGE = 2**64
ROWS = 1_500


def sample(source: Source, rows: int, wanted: int = ROWS) -> pa.Table:
    """About `wanted` of the `rows` rows behind `source` as (path, label, features), by path; all where there are fewer.

    An image is chosen by a hash of its path, so that the next version's sample holds mostly the same images. At `wanted` 1500
    the driver gets 8 MB; the workers read all rows. Rows with a NaN or an infinity are left out.
    """
    chosen = source.map(partial(choose, below=RANGE * wanted // max(rows, wanted)), SCHEMA)
    found = chosen.toArrow().sort_by("path")
    return found.filter(pa.array(finite_rows(vectors(found))))


def vectors(sampled: pa.Table) -> NDArray[np.float32]:
    """The (n, d) features of a sample; (0, 0) of an empty one."""
    flat: NDArray[np.float32] = pc.list_flatten(sampled["features"]).to_numpy()
    return flat.reshape(len(sampled), -1) if len(sampled) else flat.reshape(0, 0)


def texts(sampled: pa.Table, column: str) -> list[str]:
    """A column of strings."""
    found: list[Any] = sampled[column].to_pylist()
    return found


def choose(batches: Iterable[pa.RecordBatch], below: int) -> Iterator[pa.RecordBatch]:
    """The rows of (path, label, features) whose path has a hash below `below` of 2**64."""
    for batch in batches:
        paths: list[Any] = batch.column(0).to_pylist()
        chosen: NDArray[np.bool_] = np.array([place(path) < below for path in paths], np.bool_)
        if chosen.any():
            columns: list[Any] = [column.filter(pa.array(chosen)) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, ["path", "label", "features"])


def place(path: str) -> int:
    """Where a path falls in 0 to 2**64, evenly."""
    return int.from_bytes(sha256(path.encode()).digest()[:8], "big")
