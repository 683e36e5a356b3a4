"""An index brought up to what the change feed tells, against a dictionary."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.table import path_hashes, row_changes
from fruitpipe.table.hash_index import BELOW, HashIndex
from fruitpipe.table.row_store import joined

PREFIX = "s3://b/in"
PATHS = st.sampled_from([f"{PREFIX}/{name}" for name in "abcdef"] + ["s3://b/in2/a"])
ETAGS = st.sampled_from(["1", "2@v", None])
ROWS = st.dictionaries(PATHS, st.tuples(ETAGS, st.booleans()))


def hashes_of(rows):
    """Path hash → image hash and flags, of rows by path with etag and whether they are archived."""
    return {
        path_hashes.of_path(path): (
            path_hashes.of_image(path, etag and etag.partition("@")[0], is_archived),
            BELOW * path.startswith(f"{PREFIX}/"),
        )
        for path, (etag, is_archived) in rows.items()
    }


def feed(changes):
    """The change feed's batch, of (kind, path, (etag, is archived), version)."""
    rows = [
        (path, etag, "archived" if is_archived else None, kind, version) for kind, path, (etag, is_archived), version in changes
    ]
    return pa.RecordBatch.from_pylist([dict(zip(row_changes.COLUMNS, row, strict=True)) for row in rows], SCHEMA)


SCHEMA = pa.schema([*((name, pa.string()) for name in row_changes.COLUMNS[:-1]), (row_changes.COLUMNS[-1], pa.uint64())])


def made(index):
    rows = joined([part for (part,) in index.parts()])
    return {path: (image, flag) for path, image, flag in zip(*(column.tolist() for column in rows), strict=True)}


def changed(before, after, version):
    """What the feed tells of a commit that made the rows `after` of those `before`."""
    for path in {*before, *after}:
        if path not in before:
            yield "insert", path, after[path], version
        elif path not in after:
            yield "delete", path, before[path], version
        elif before[path] != after[path]:
            yield "update_postimage", path, after[path], version
            yield "update_preimage", path, before[path], version


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=5), st.randoms())
def test_an_index_after_any_commits_is_that_of_the_rows_then(states, chance):
    index = row_changes.applied(HashIndex(), row_changes.of_feed([feed(list(changed({}, states[0], 0)))], PREFIX))
    assert made(index) == hashes_of(states[0])
    told = [one for version, pair in enumerate(pairwise(states), 1) for one in changed(*pair, version)]
    chance.shuffle(told)
    parts = [feed(told[:3]), feed(told[3:])]
    assert made(row_changes.applied(index, row_changes.of_feed(parts, PREFIX))) == hashes_of(states[-1])


@pytest.mark.parametrize(
    "told",
    [
        [("insert", 1)],
        [("insert", 1), ("delete", 2)],
        [("delete", 1), ("insert", 2), ("insert", 2)],
        [("delete", 1), ("delete", 2)],
    ],
)
def test_where_an_image_had_two_rows_nobody_can_tell(told):
    path, row = f"{PREFIX}/a", ("1", False)
    index = HashIndex.of(*(np.array([number], np.int64) for number in (path_hashes.of_path(path), 1)))
    changes = row_changes.of_feed([feed([(kind, path, row, version) for kind, version in told])], PREFIX)
    assert row_changes.applied(index, changes) is None
