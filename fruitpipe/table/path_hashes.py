"""Hashes of the rows' paths, for what has to know every row: 17 bytes a row, where names would take too much memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fruitpipe.errors import NotFound
from fruitpipe.table.snapshot import Snapshot, text

# The etag is the content's, without the version that no listing tells.
IMAGE = "concat_ws('\n', path, split_part(etag, '@', 1), CASE WHEN error = 'archived' THEN 'archived' END)"
HASHES = f"sha256(path) AS path, sha256({IMAGE}) AS image"
BITS = np.uint64(60)


class RowHashes(NamedTuple):
    """Hashes of all rows of the table.

    paths: of each path, (rows,) int64, as `of_path` has them. images: of each path, etag and whether the row says `archived`,
    (rows,) int64, as `of_image` has them. below: (rows,) bool, whether the image lies under the prefix that was asked for.
    """

    paths: NDArray[np.int64]
    images: NDArray[np.int64]
    below: NDArray[np.bool_]


class Row(NamedTuple):
    """A row that was looked for by the hash of its path."""

    path: str
    length: int | None


NONE = RowHashes(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool))


def of_path(path: str) -> int:
    """60 bits of the SHA-256 of the path.

    Among ten million rows, one new image in a hundred thousand million shares another's; that costs a question to the table.
    """
    return int(sha256(path.encode()).hexdigest()[:15], 16)


def of_paths(paths: Iterable[str]) -> NDArray[np.int64]:
    """`of_path` of each path, (n,) int64."""
    return np.fromiter(map(of_path, paths), np.int64)


def of_image(path: str, etag: str, archived: bool = False) -> int:
    """60 bits of the SHA-256 of path and etag, and of whether it lies in an archive.

    Among a million images one in a trillion shares another's; it would wait for reconciliation.
    """
    return int(sha256("\n".join([path, etag, *["archived"] * archived]).encode()).hexdigest()[:15], 16)


def of_rows(root: str, prefix: str) -> RowHashes:
    """The hashes of all rows. Reads two columns of the whole table, without Spark: 2 s for a million rows.

    Spark, just started, takes as long to read a single row.
    """
    below = f"CAST({_lies_below(prefix)} AS TINYINT) AS below"
    try:
        parts = Snapshot(root).each(f"SELECT {HASHES}, {below} FROM features", _row_hashes)  # noqa: S608 - quoted
    except NotFound:
        return NONE
    return RowHashes(*map(np.concatenate, zip(*parts, strict=True))) if parts else NONE


class KeptRowHashes:
    """The hashes of all rows, read when they are first asked for and kept until they are dropped.

    The listing and `Lookup` share the first reading. `Lookup` keeps its own copy, adds what is written, and takes nothing out: a
    row that is gone costs it a question to the table.
    """

    def __init__(self, root: str, prefix: str) -> None:
        self._root, self._prefix = root, prefix
        self._read: RowHashes | None = None

    def __call__(self) -> RowHashes:
        """The hashes of all rows, as `of_rows` has them."""
        if self._read is None:
            self._read = of_rows(self._root, self._prefix)
        return self._read

    def drop(self) -> None:
        """Drops them: the next call reads the table again, as after an erasure, whose rows the listing has to forget."""
        self._read = None


def rows_of(root: str, paths: NDArray[np.int64], prefix: str) -> list[Row]:
    """The rows below `prefix` whose paths have these hashes, which are sorted. Reads two columns of the whole table."""
    sql = f"SELECT path, length, sha256(path) AS hash FROM features WHERE {_lies_below(prefix)}"  # noqa: S608 - quoted
    try:
        return [row for rows in Snapshot(root).each(sql, partial(_rows_of, paths)) for row in rows]
    except NotFound:
        return []


def among(those: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `asked` (n,) are among `those`, which are sorted: (n,) bool. Only `asked` costs time, some 0.1 ms for 1,000."""
    if not len(those):
        return np.zeros(len(asked), bool)
    places = np.searchsorted(those, asked).clip(max=len(those) - 1)
    found: NDArray[np.bool_] = those[places] == asked
    return found


def _lies_below(prefix: str) -> str:
    """SQL; a prefix may be the one image itself."""
    return f"(path = {text(prefix)} OR starts_with(path, {text(f'{prefix}/')}))"


def _row_hashes(batch: pa.RecordBatch) -> RowHashes:
    below = np.from_dlpack(batch["below"]).astype(bool)  # to_numpy would import pandas, which takes longer than all else here
    return RowHashes(_numbers(batch["path"]), _numbers(batch["image"]), below)


def _rows_of(paths: NDArray[np.int64], batch: pa.RecordBatch) -> list[Row]:
    found = np.flatnonzero(among(paths, _numbers(batch["hash"]))).tolist()
    return [Row(batch["path"][place].as_py(), batch["length"][place].as_py()) for place in found]


def _numbers(digests: Any) -> NDArray[np.int64]:
    """Of each SHA-256, four numbers of 64 bits, the first 60 bits."""
    whole = np.frombuffer(b"".join(digests.to_pylist()), ">u8").reshape(-1, 4)
    return (whole[:, 0] >> (np.uint64(64) - BITS)).astype(np.int64)
