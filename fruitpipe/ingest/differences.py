"""Finds by hashes what of a listing and of the table may differ: memory follows the differences, and not the number of images.

The hashes of all rows come first. A listed image that has a row with its etag is counted, and its name not kept. Then the names
of rows are read whose hash was not listed, or that are to be looked at anyway. `reconciliation.compare` decides by names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.ingest import prefix_listing, reconciliation
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import NEWER, ODD, TWICE, HashIndex, Spool, among

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fruitpipe import objects
    from fruitpipe.ingest.reconciliation import Plan

CHUNK = 1000  # listed images that are looked up at a time


@dataclass(frozen=True)
class Listed:
    """A whole listing. named: the images, as LISTED, that may differ from the rows. same: the others. images: hashes of all."""

    named: pa.Table
    images: HashIndex
    same: int

    def __len__(self) -> int:
        return self.named.num_rows + self.same


def of_listing(stats: Iterator[objects.Stat], rows: HashIndex) -> Listed:
    """Looks the listed images up among the rows, as they come."""
    spool, count = Spool(), 0

    def differing() -> Iterator[tuple[Any, ...]]:
        nonlocal count
        while chunk := list(islice(stats, CHUNK)):
            hashes = prefix_listing.hashes_of(chunk)
            spool.add(hashes)
            count += len(chunk)
            for stat in prefix_listing.unseen(rows, chunk, hashes, but=ODD | TWICE):
                yield stat.path, stat.etag, stat.length, stat.is_archived

    named = reconciliation.table(reconciliation.LISTED, differing())
    return Listed(named, spool.index(), count - named.num_rows)


def compared(
    listed: Listed,
    rows: HashIndex,
    named: Callable[[NDArray[np.int64]], pa.Table],
    extractor: str,
    counts: Callable[[str], object] = bool,
) -> Plan:
    """What differs, as `reconciliation.compare` would say of the whole listing and all rows.

    rows: all that are to be compared, with ODD at those that are looked at anyway, and NEWER at those that the listing may lack.
    named: reads the rows, as ROWS, whose paths have some hashes, (n,) int64, sorted.
    """
    names: Any = listed.named["path"]
    of_listed = [path_hashes.of_paths(chunk.to_pylist()) for chunk in names.chunks]
    asked = np.unique(np.concatenate([rows.missing_in(listed.images), rows.flagged(ODD | TWICE), *of_listed]))
    newer = rows.flagged(NEWER)
    asked = asked[~among(newer[~listed.images.has_path(newer)], asked)]
    found_rows = named(asked) if rows.has_path(asked).any() else reconciliation.ROWS.empty_table()
    found = reconciliation.compare(listed.named, found_rows, extractor, counts)
    return replace(found, rows=found.rows + listed.same)
