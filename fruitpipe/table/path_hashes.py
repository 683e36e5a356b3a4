"""What the images of rows are known by where their names would take too much memory: 12 bytes a row."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fruitpipe.errors import NotFound
from fruitpipe.table.snapshot import Snapshot

# The etag is the content's, without the version that no listing tells.
ROWS = "SELECT path, sha256(concat_ws('\n', path, split_part(etag, '@', 1))) AS image FROM features"


class Codes(NamedTuple):
    """paths: CRC-32 of each path, (rows,) uint32. images: of each path and etag, (rows,) int64, as `of_image` has them."""

    paths: NDArray[np.uint32]
    images: NDArray[np.int64]


NONE = Codes(np.empty(0, np.uint32), np.empty(0, np.int64))


def of_path(path: str) -> int:
    """CRC-32."""
    return crc32(path.encode())


def of_image(path: str, etag: str) -> int:
    """60 bits of the SHA-256 of both.

    Among a million images one in a trillion shares another's; it would wait for reconciliation.
    """
    return int(sha256(f"{path}\n{etag}".encode()).hexdigest()[:15], 16)


def of_rows(root: str) -> Codes:
    """Those of all rows. Reads two columns of the whole table, without Spark: 2 s for a million rows.

    Spark, just started, takes as long to read a single row.
    """
    try:
        parts = Snapshot(root).each(ROWS, _codes)
    except NotFound:
        return NONE
    return Codes(*map(np.concatenate, zip(*parts, strict=True))) if parts else NONE


def _codes(batch: pa.RecordBatch) -> Codes:
    rows: dict[str, list[Any]] = batch.to_pydict()
    paths = np.array([of_path(path) for path in rows["path"]], np.uint32)
    # Four numbers of 64 bits, of the first of which 60 bits count.
    digests = np.frombuffer(b"".join(rows["image"]), ">u8").reshape(-1, 4)
    return Codes(paths, (digests[:, 0] >> np.uint64(4)).astype(np.int64))
