"""What changed in the rows from one version of the table to another, by hashes, and an index brought up to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fruitpipe.errors import NotFound
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import BELOW, HashIndex, Spool
from fruitpipe.table.row_store import Rows, joined
from fruitpipe.table.snapshot import Snapshot

MOST_COMMITS = 100  # deltalake opens each with Python's lock held, some 1 ms on a drive and a request's time on S3
MOST_CHANGES = 1_000_000  # each takes 0.2 kB; beyond that all rows are read as soon
COLUMNS = ["path", "etag", "error", "_change_type", "_commit_version"]  # of Delta's change feed
ADDS = {"insert": 1, "update_postimage": 1, "delete": -1, "update_preimage": -1}


class Changes(NamedTuple):
    """Rows that came and went. rows: their hashes. versions: (n,) int64, of the commits. adds: (n,) int64, 1 or -1."""

    rows: Rows
    versions: NDArray[np.int64]
    adds: NDArray[np.int64]


def since(table: Snapshot, version: int, prefix: str) -> Changes | None:
    """What the table's change feed tells after `version`; None where its files or log are gone, or it tells of too much.

    That is of more than MOST_COMMITS commits, which would keep other threads waiting, or MOST_CHANGES changes.
    """
    if version == table.version:
        return of_feed([], prefix)
    if table.version - version > MOST_COMMITS:
        return None
    batches, told = [], 0
    try:
        for batch in table.changes(version, COLUMNS):
            told += batch.num_rows
            if told > MOST_CHANGES:
                return None
            batches.append(batch)
    except NotFound:
        return None
    return of_feed(batches, prefix)


def of_feed(batches: Iterable[pa.RecordBatch], prefix: str) -> Changes:
    """The changes that the batches of the feed tell, with COLUMNS; some 2 µs a row. Rows below `prefix` get the flag."""
    parts = [_of_batch(batch, prefix) for batch in batches]
    versions, adds = (np.concatenate([np.empty(0, np.int64), *(part[at] for part in parts)]) for at in (1, 2))
    return Changes(joined([part.rows for part in parts]), versions, adds)


def _of_batch(batch: pa.RecordBatch, prefix: str) -> Changes:
    columns: list[list[Any]] = [batch[name].to_pylist() for name in COLUMNS]
    paths, etags, errors, kinds, versions = columns
    images = [
        path_hashes.of_image(path, etag and etag.split("@", 1)[0], error == "archived")
        for path, etag, error in zip(paths, etags, errors, strict=True)
    ]
    below = [BELOW * (path == prefix or path.startswith(f"{prefix}/")) for path in paths]
    rows = Rows(path_hashes.of_paths(paths), np.array(images, np.int64), np.array(below, np.uint8))
    return Changes(rows, np.array(versions, np.int64), np.array([ADDS[kind] for kind in kinds], np.int64))


def applied(index: HashIndex, changes: Changes) -> HashIndex | None:
    """The index after the changes; None where a path had more than one row meanwhile, as nobody can tell which is left.

    The rows of an index have one path each.
    """
    if not len(changes.adds):
        return index
    order = np.lexsort((changes.adds, changes.versions, changes.rows.paths))  # of one commit the row that came is the last
    rows, versions, adds = changes.rows.at(order), changes.versions[order], changes.adds[order]
    ends_path = np.append(rows.paths[1:] != rows.paths[:-1], True)
    ends_commit = ends_path | np.append(versions[1:] != versions[:-1], True)
    before = index.has_path(rows.paths[ends_path]).astype(np.int64)
    counts = np.cumsum(adds)  # of all paths before; and for each path from what it had
    base = np.concatenate([[0], counts[ends_path][:-1]]) - before
    there = counts - np.repeat(base, np.diff(np.flatnonzero(ends_path), prepend=-1))
    came = np.cumsum(adds == 1)
    at_once = np.diff(came[ends_commit], prepend=0)
    if not np.isin(there[ends_commit], (0, 1)).all() or (at_once > 1).any():
        return None
    stay = ends_path & (there == 1)
    spool = Spool()
    spool.add(rows.at(stay))
    gone = rows.paths[ends_path & (there == 0)]
    return index.without(gone).updated(spool.index())
