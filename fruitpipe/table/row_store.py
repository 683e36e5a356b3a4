"""Rows of hashes, 17 bytes each: in memory while they are few, beyond that in files on the local disk.

The files have no name: they go when nobody reads them any more, after a kill as well.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections.abc import Iterable
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fruitpipe.runtime import local_folders

HELD = 1 << 20  # rows that are kept in memory, 18 MB


class Rows(NamedTuple):
    """Hashes of images.

    paths: of each path, (n,) int64. images: of each path and etag, (n,) int64. flags: what else is known of each, (n,) uint8.
    """

    paths: NDArray[np.int64]
    images: NDArray[np.int64]
    flags: NDArray[np.uint8]

    def at(self, places: NDArray[Any] | slice) -> Rows:
        """The rows at these places, or where a mask is true."""
        return Rows(self.paths[places], self.images[places], self.flags[places])


COLUMNS: tuple[type[np.generic], ...] = (np.int64, np.int64, np.uint8)
ROW_BYTES = sum(np.dtype(column).itemsize for column in COLUMNS)
NONE = Rows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))


def joined(parts: list[Rows]) -> Rows:
    """The rows of all parts, in order."""
    return _rows(map(np.concatenate, zip(NONE, *parts, strict=True)))


def _rows(columns: Iterable[NDArray[Any]]) -> Rows:
    return Rows(*columns)


class RowStore:
    """Rows that are appended, and then read. Whoever reads may do so from several threads."""

    def __init__(self) -> None:
        self._held, self._rows = [NONE], 0
        self._files: list[IO[bytes]] = []
        self._maps: list[mmap.mmap] = []

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: Rows) -> None:
        """Adds rows behind those that are there. Raises PlatformFault where the disk does not take them."""
        self._rows += len(rows.paths)
        self._held.append(rows)
        if self._files or self._rows > HELD:
            with local_folders.explained():
                self._write()

    def _write(self) -> None:
        """Writes what is held."""
        self._files = self._files or [_file_of(self) for _ in COLUMNS]
        for rows in self._held:
            for file, column in zip(self._files, rows, strict=True):
                file.write(np.ascontiguousarray(column).data)
                file.flush()
        self._held.clear()

    def read(self, start: int, stop: int) -> Rows:
        """The rows from `start` up to `stop`, read from the files where they lie there."""
        if not self._files:
            return self.all().at(slice(start, stop))
        return _rows(_read(file, dtype, start, stop) for file, dtype in zip(self._files, COLUMNS, strict=True))

    def all(self) -> Rows:
        """All rows, to look some up in: those in files are mapped, and a look-up reads some pages of 4 kB."""
        if not self._files:
            self._held = [joined(self._held)] if len(self._held) > 1 else self._held
            return self._held[0]
        if not self._maps:
            self._maps = [mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) for file in self._files]
        return _rows(np.frombuffer(mapped, dtype) for mapped, dtype in zip(self._maps, COLUMNS, strict=True))

    def let_go(self) -> None:
        """Gives the memory back that mapped pages take; the next look-up reads them again, from the system's cache."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)


def _file_of(store: RowStore) -> IO[bytes]:
    """A file without a name, closed when the store goes."""
    file = tempfile.TemporaryFile(dir=local_folders.own())  # noqa: SIM115
    weakref.finalize(store, file.close)
    return file


def _read(file: IO[bytes], dtype: type[np.generic], start: int, stop: int) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    return np.frombuffer(os.pread(file.fileno(), (stop - start) * size, start * size), dtype)
