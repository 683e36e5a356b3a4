"""An index of hashes as a file: one line of JSON that says what it is of, then its rows, then a checksum of all."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from fruitpipe.runtime import local_folders
from fruitpipe.table.hash_index import HashIndex
from fruitpipe.table.row_store import COLUMNS, ROW_BYTES, Rows, RowStore

PART = 1 << 18  # rows, of which the columns follow each other
CHECKSUM_BYTES = 4
FORMAT = 1


def write(place: Path, facts: dict[str, Any], index: HashIndex) -> None:
    """Writes the file in one step, in place of what is there; the folder has to be. facts: any that JSON holds."""
    checksum = 0
    with tempfile.NamedTemporaryFile(dir=local_folders.own(), delete=False) as file:
        unfinished = Path(file.name)
        try:
            for body in _bodies(facts, index):
                file.write(body)
                checksum = zlib.crc32(body, checksum)
            file.write(checksum.to_bytes(CHECKSUM_BYTES))
            file.flush()
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)


def read(place: Path) -> tuple[dict[str, Any], HashIndex] | None:
    """The facts and the index; None where there is no file, or one that is damaged or of another format."""
    try:
        with place.open("rb") as file:
            return _read(file, place.stat().st_size)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bodies(facts: dict[str, Any], index: HashIndex) -> Iterator[bytes]:
    yield json.dumps(facts | {"format": FORMAT, "rows": len(index)}).encode() + b"\n"
    for start in range(0, len(index), PART):
        yield from (column.tobytes() for column in index.store.read(start, min(start + PART, len(index))))


def _read(file: IO[bytes], size: int) -> tuple[dict[str, Any], HashIndex] | None:
    head = file.readline()
    facts, checksum, store = json.loads(head), zlib.crc32(head), RowStore()
    left = facts["rows"]
    if facts["format"] != FORMAT or size != len(head) + left * ROW_BYTES + CHECKSUM_BYTES:
        return None
    while left:
        count = min(left, PART)
        bodies = [file.read(count * np.dtype(column).itemsize) for column in COLUMNS]
        for body in bodies:
            checksum = zlib.crc32(body, checksum)
        store.append(Rows(*(np.frombuffer(body, column) for body, column in zip(bodies, COLUMNS, strict=True))))
        left -= count
    return (facts, HashIndex(store)) if file.read() == checksum.to_bytes(CHECKSUM_BYTES) else None
