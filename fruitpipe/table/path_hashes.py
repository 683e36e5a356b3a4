"""Hashes of paths and etags, and those of all rows, for what has to know every row: names would take too much memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fruitpipe.errors import NotFound
from fruitpipe.table.hash_index import BELOW, BITS, HashIndex, Spool, among
from fruitpipe.table.row_store import Rows
from fruitpipe.table.snapshot import Snapshot, text

# The etag is the content's, without the version that no listing tells.
IMAGE = "concat_ws('\n', path, split_part(etag, '@', 1), CASE WHEN error = 'archived' THEN 'archived' END)"
HASHES = f"sha256(path) AS path, sha256({IMAGE}) AS image"


class Row(NamedTuple):
    """A row that was looked for by the hash of its path."""

    path: str
    length: int | None


def of_path(path: str) -> int:
    """60 bits of the SHA-256 of the path.

    Among ten million rows, one new image in a hundred thousand million shares another's; that costs a question to the table.
    """
    return int(sha256(path.encode()).hexdigest()[:15], 16)


def of_paths(paths: Iterable[str]) -> NDArray[np.int64]:
    """`of_path` of each path, (n,) int64."""
    return np.fromiter(map(of_path, paths), np.int64)


def of_image(path: str, etag: str | None, archived: bool = False) -> int:
    """60 bits of the SHA-256 of path and etag, where it has one, and of whether it lies in an archive.

    Among a million images one in a trillion shares another's; it would wait for reconciliation.
    """
    image = path if etag is None else f"{path}\n{etag}"
    return int(sha256((f"{image}\narchived" if archived else image).encode()).hexdigest()[:15], 16)


def of_rows(root: str, prefix: str) -> HashIndex:
    """The hashes of all rows, with a flag at those below `prefix`. Nothing where there is no table."""
    try:
        return of_table(Snapshot(root), prefix)
    except NotFound:
        return HashIndex()


def of_table(table: Snapshot, prefix: str, others: Mapping[int, str] = MappingProxyType({})) -> HashIndex:
    """The hashes of all rows, with a flag at those below `prefix`, and `others` at those for which their SQL is true.

    Reads two columns of the whole table, and those of `others`, without Spark: 2 s for a million rows. Spark, just started, takes
    as long to read a single row.
    """
    conditions = {BELOW: lies_below(prefix), **others}
    flags = " + ".join(f"CASE WHEN {condition} THEN {flag} ELSE 0 END" for flag, condition in conditions.items())
    return table.all(f"SELECT {HASHES}, CAST({flags} AS TINYINT) AS flags FROM features", _index)  # noqa: S608 - quoted


def rows_of(root: str, paths: NDArray[np.int64], prefix: str) -> list[Row]:
    """The rows below `prefix` whose paths have these hashes, which are sorted. Reads two columns of the whole table."""
    sql = f"SELECT path, length, sha256(path) AS hash FROM features WHERE {lies_below(prefix)}"  # noqa: S608 - quoted
    try:
        return [row for rows in Snapshot(root).each(sql, partial(_rows_of, paths)) for row in rows]
    except NotFound:
        return []


def lies_below(prefix: str) -> str:
    """SQL; a prefix may be the one image itself."""
    return f"(path = {text(prefix)} OR starts_with(path, {text(f'{prefix}/')}))"


def _index(batches: Iterator[pa.RecordBatch]) -> HashIndex:
    spool = Spool()
    for batch in batches:
        flags = np.from_dlpack(batch["flags"]).view(np.uint8)  # to_numpy would import pandas, which takes longer than all else
        spool.add(Rows(numbers(batch["path"]), numbers(batch["image"]), flags))
    return spool.index()


def _rows_of(paths: NDArray[np.int64], batch: pa.RecordBatch) -> list[Row]:
    found = np.flatnonzero(among(paths, numbers(batch["hash"]))).tolist()
    return [Row(batch["path"][place].as_py(), batch["length"][place].as_py()) for place in found]


def numbers(digests: Any) -> NDArray[np.int64]:
    """The hashes of SHA-256s, an Arrow array of bytes: of four numbers of 64 bits each, the first 60 bits."""
    whole = np.frombuffer(b"".join(digests.to_pylist()), ">u8").reshape(-1, 4)
    return (whole[:, 0] >> np.uint64(64 - BITS)).astype(np.int64)
