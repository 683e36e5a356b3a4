"""An object as a file that is read piece by piece, for readers that need a few columns of many bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable


class Pieces(io.RawIOBase):
    """A file of `length` bytes, of which `read(start, count)` gives a piece; nothing is kept in memory."""

    def __init__(self, length: int, read: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._length, self._read, self._at = length, read, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next piece begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place, as in any file; nothing is read."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, all that are left where it is negative; fewer at the end."""
        left = max(0, self._length - self._at)
        count = left if size < 0 else min(size, left)
        piece = self._read(self._at, count) if count else b""
        self._at += len(piece)
        return piece
