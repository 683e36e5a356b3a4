"""What the table knows of a batch's images, asked of Spark only where it may know one.

Most images that come are new, and to learn that from the table costs a job that grows with it. The stream is the table's only
writer, so a code of each path, read once and kept up to date, tells it for sure: 4 bytes a row, 40 MB for ten million.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruitpipe.codes import of_path
from fruitpipe.tables import Known

RECENT = 100_000  # codes kept apart from the sorted ones before they are sorted in: 1 s of work for every 20 times so many


class Lookup:
    """Asks `ask` for what is known of paths, but only for those whose code is among `codes()`, or was asked for before.

    Two paths may share a code, one in 400 new ones where the table has ten million rows: that costs a question, and no more.
    """

    def __init__(self, codes: Callable[[], NDArray[np.uint32]], ask: Callable[[Sequence[str]], dict[str, Known]]) -> None:
        self._codes, self._ask = codes, ask
        self._sorted: NDArray[np.uint32] | None = None
        self._recent: set[int] = set()

    def __call__(self, paths: Sequence[str]) -> dict[str, Known]:
        """What the table knows of `paths`; whoever asks is about to write them, so they count as known from now on."""
        asked = np.array([of_path(path) for path in paths], np.uint32)
        there = zip(paths, asked.tolist(), self._has(asked), strict=True)
        perhaps = [path for path, code, is_there in there if is_there or code in self._recent]
        self._recent.update(asked.tolist())
        return self._ask(perhaps) if perhaps else {}

    def _has(self, asked: NDArray[np.uint32]) -> NDArray[np.bool_]:
        if self._sorted is None:
            self._sorted = np.unique(self._codes())
        elif len(self._recent) > RECENT:
            self._sorted = np.union1d(self._sorted, np.fromiter(self._recent, np.uint32))
            self._recent.clear()
        return among(self._sorted, asked)


def among(those: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `asked` (n,) are among `those`, which are sorted: (n,) bool. Only `asked` costs time, some 0.1 ms for 1,000."""
    if not len(those):
        return np.zeros(len(asked), bool)
    places = np.searchsorted(those, asked).clip(max=len(those) - 1)
    found: NDArray[np.bool_] = those[places] == asked
    return found
