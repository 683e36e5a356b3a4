"""A set of images by hashes, whatever their number: sorted by the path's hash, and worked on one range of hashes at a time.

So memory does not follow the number of images; the disk takes 17 bytes for each. NumPy and files alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruitpipe.table.row_store import NONE, Rows, RowStore, joined

BITS = 60  # of a hash
RANGES = 256  # that rows are put apart in before each is sorted
RUN = 1 << 20  # rows that are held until they are put apart
PART = 1 << 18  # rows of an index that are worked on at a time, about
LOOKED_UP = 1 << 20  # after so many look-ups the pages that they touched are let go
BELOW, TWICE, ODD, NEWER = 1, 2, 4, 8  # flags: below the prefix, with two rows or more, to be looked at, newer than a listing


def among(those: NDArray[Any], asked: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of `asked` (n,) are among `those`, which are sorted: (n,) bool. Only `asked` costs time, some 0.1 ms for 1,000."""
    return _found(those, asked)[1]


class HashIndex:
    """A set of images, each with the etag that it was seen with. It never changes: what changes it returns another.

    store: rows sorted by the hash of their path, of which none comes twice.
    """

    def __init__(self, store: RowStore | None = None) -> None:
        self.store = store or RowStore()
        self._looked_up = 0

    @classmethod
    def of(cls, paths: NDArray[np.int64], images: NDArray[np.int64]) -> HashIndex:
        """Makes the set from pairs of hashes, (n,) int64 each, in any order; the last of a path counts. 0.2 s for a million."""
        spool = Spool()
        spool.add(Rows(paths, images, np.full(len(paths), BELOW, np.uint8)))
        return spool.index()

    def __len__(self) -> int:
        return len(self.store)

    def has(self, paths: NDArray[np.int64], images: NDArray[np.int64], but: int = 0) -> NDArray[np.bool_]:
        """Which of these images, (n,), are there with this etag, and without a flag of `but`: (n,) bool."""
        places, found = self._find(paths)
        if len(self):
            there = self.store.all()
            found &= (there.images[places] == images) & (there.flags[places] & but == 0)
        return found

    def has_path(self, paths: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these paths, (n,), are there with any etag: (n,) bool."""
        return self._find(paths)[1]

    def _find(self, paths: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        self._looked_up += len(paths)
        if self._looked_up > LOOKED_UP:
            self._looked_up = 0
            self.store.let_go()
        return _found(self.store.all().paths, paths)

    def parts(self, *others: HashIndex) -> Iterator[list[Rows]]:
        """The rows of one range of hashes after the other: of this set and, beside them, of the same range of others."""
        sets = [self, *others]
        cuts = _cuts(max(map(len, sets)))
        places = [[0, *np.searchsorted(one.store.all().paths, cuts).tolist(), len(one)] for one in sets]
        for number in range(len(cuts) + 1):
            yield [one.store.read(at[number], at[number + 1]) for one, at in zip(sets, places, strict=True)]

    def missing_in(self, listed: HashIndex) -> NDArray[np.int64]:
        """The hashes of the paths that are not `listed`, with any etag: (m,) int64, sorted."""
        missing = [mine.paths[~among(other.paths, mine.paths)] for mine, other in self.parts(listed)]
        return np.concatenate([NONE.paths, *missing])

    def flagged(self, flags: int) -> NDArray[np.int64]:
        """The hashes of the paths with one of `flags`: (m,) int64, sorted."""
        return np.concatenate([NONE.paths, *(rows.paths[rows.flags & flags != 0] for (rows,) in self.parts())])

    def below(self) -> HashIndex:
        """The images below the prefix alone."""
        if all((rows.flags & BELOW).all() for (rows,) in self.parts()):  # as most often, and nothing is written
            return self
        return self._kept(lambda rows: rows.flags & BELOW != 0)

    def without(self, paths: NDArray[np.int64]) -> HashIndex:
        """The set without these hashes of paths, (m,) int64, sorted."""
        return self._kept(lambda rows: ~among(paths, rows.paths)) if self.has_path(paths).any() else self

    def updated(self, later: HashIndex) -> HashIndex:
        """The union; for a path in both, `later` counts."""
        if not len(self) or not len(later):
            return later if len(later) else self
        store = RowStore()
        for mine, others in self.parts(later):
            alone = mine.at(~among(others.paths, mine.paths))
            both = joined([alone, others])
            store.append(both.at(np.argsort(both.paths, kind="stable")))
        return HashIndex(store)

    def _kept(self, stays: Callable[[Rows], NDArray[np.bool_]]) -> HashIndex:
        store = RowStore()
        for (rows,) in self.parts():
            store.append(rows.at(stays(rows)))
        return HashIndex(store)


class Spool:
    """Rows in any order, of which an index is made: they are put apart by range as they come, and each range is sorted alone."""

    def __init__(self) -> None:
        self._waiting, self._count = [NONE], 0
        self._apart, self._runs = RowStore(), list[NDArray[np.int64]]()

    def add(self, rows: Rows) -> None:
        """Adds rows; of several with one path the last one counts."""
        self._waiting.append(rows)
        self._count += len(rows.paths)
        if self._count >= RUN:
            self._put_apart()

    def _put_apart(self) -> None:
        rows = joined(self._waiting)
        ranges = rows.paths >> (BITS - RANGES.bit_length() + 1)
        order = np.argsort(ranges, kind="stable")
        self._runs.append(len(self._apart) + np.searchsorted(ranges, np.arange(RANGES + 1), sorter=order))
        self._apart.append(rows.at(order))
        self._waiting, self._count = [NONE], 0

    def index(self) -> HashIndex:
        """The set of the rows. Where some have one path, the last is there, with the flag TWICE."""
        store = RowStore()
        if not self._runs:
            store.append(_sorted(joined(self._waiting)))
            return HashIndex(store)
        self._put_apart()
        for number in range(RANGES):
            store.append(_sorted(joined([self._apart.read(ends[number], ends[number + 1]) for ends in self._runs])))
        return HashIndex(store)


def _sorted(rows: Rows) -> Rows:
    """The rows by the hash of their path, the last of each."""
    rows = rows.at(np.argsort(rows.paths, kind="stable"))
    is_last = np.append(rows.paths[1:] != rows.paths[:-1], np.ones(min(len(rows.paths), 1), bool))
    last = rows.at(is_last)
    comes_twice = np.diff(np.flatnonzero(is_last), prepend=-1) > 1
    return last._replace(flags=last.flags | np.where(comes_twice, np.uint8(TWICE), np.uint8(0)))


def _cuts(rows: int) -> NDArray[np.int64]:
    """Where to cut the hashes, so that a part has about PART rows: (parts - 1,) int64."""
    parts = max(1, -(-rows // PART))
    cuts: NDArray[np.int64] = np.arange(1, parts, dtype=np.int64) * (2**BITS // parts)
    return cuts


def _found(those: NDArray[Any], asked: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The places of `asked` (n,) among `those`, which are sorted, and which of them are there."""
    if not len(those):
        return np.zeros(len(asked), np.intp), np.zeros(len(asked), bool)
    places = np.searchsorted(those, asked).clip(max=len(those) - 1)
    found: NDArray[np.bool_] = those[places] == asked
    return places, found
