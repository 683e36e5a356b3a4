"""A listing and a table compared by hashes first, against the comparison of the whole listing with all rows by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fruitpipe import objects
from fruitpipe.ingest import differences, reconciliation
from fruitpipe.jobs.reconcile import named_rows, row_hashes
from fruitpipe.pictures.variants import Current
from fruitpipe.settings import ReconcileSettings
from fruitpipe.table import hash_index, row_store
from fruitpipe.table.snapshot import Snapshot
from tests.rows import empty_table, put_rows

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def stat(path, etag="1", is_archived=False):
    return objects.Stat(path, etag, len(path) % 3, NOW, is_archived)


NAMES = st.sampled_from([f"s3://b/in/{name}" for name in ("a.jpg", "a b.jpg", "é.jpg", "🍓.jpg", "z.JPG", "no.txt", "x'y.jpg")])
OTHERS = st.sampled_from(["s3://b/in 2/a.jpg", "s3://b/other.jpg"])
ETAGS = st.sampled_from(["1", "2"])
ARCHIVED = st.sampled_from([True, False, None])  # as a listing tells it
LISTING = st.lists(st.builds(stat, NAMES, ETAGS, ARCHIVED), max_size=8, unique_by=attrgetter("path"))
ROW = st.builds(stat, NAMES | OTHERS, st.sampled_from(["1", "1@v", "2", None]))
FILES = st.lists(
    st.tuples(
        st.lists(ROW, min_size=1, max_size=5),
        st.sampled_from([None, "archived", "unreadable", "too-large"]),
        st.sampled_from(["e", "older", "oldest"]),
    ),
    max_size=4,
)


@pytest.fixture(params=[1000, 2], ids=["in memory", "in files"], autouse=True)
def _sizes(request, monkeypatch):
    for module, name in ((row_store, "HELD"), (hash_index, "RUN"), (hash_index, "PART"), (differences, "CHUNK")):
        monkeypatch.setattr(module, name, request.param)


def counts(path):
    return path.lower().endswith(".jpg")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LISTING, FILES)
def test_what_differs_is_what_the_names_of_all_would_say(tmp_path_factory, listing, files):
    root = f"file://{tmp_path_factory.mktemp('root')}"
    empty_table(root)
    for version, (stats, error, extractor) in enumerate(files, 1):
        put_rows(root, stats, version, error, extractor)
    table, current = Snapshot(root), Current("e", in_full=False)
    asked = ReconcileSettings(images="s3://b/in", root=root, max_image_bytes=2)
    rows = row_hashes(table, asked, current)
    by_hash = partial(named_rows, asked, current)
    every_row = by_hash(np.sort(np.concatenate([part.paths for (part,) in rows.parts()])))
    in_listing = ((stat.path, stat.etag, stat.length, stat.is_archived) for stat in listing)
    expected = reconciliation.compare(reconciliation.table(reconciliation.LISTED, in_listing), every_row, "e", counts)
    listed = differences.of_listing(iter(listing), rows)
    found = differences.compared(listed, rows, by_hash, "e", counts)
    assert sorted(found.stale) == sorted(expected.stale), "in the order in which the table gives them"
    assert replace(found, stale=[]) == replace(expected, stale=[])
    assert len(listed) == len(listing)
    assert len(every_row) == sum(stat.path.startswith("s3://b/in/") for stats, *_ in files for stat in stats)


def test_where_nothing_differs_no_row_is_read_by_name_and_no_name_is_kept(tmp_path):
    root, stats = f"file://{tmp_path}", [stat(f"s3://b/in/{number}.jpg") for number in range(10)]
    empty_table(root)
    put_rows(root, stats)
    asked = ReconcileSettings(images="s3://b/in", root=root)
    rows = row_hashes(Snapshot(root), asked, Current("e", in_full=False))
    listed = differences.of_listing(iter(stats), rows)
    found = differences.compared(listed, rows, lambda _: pytest.fail("rows were read"), "e")
    assert (listed.named.num_rows, listed.same, found.rows) == (0, 10, 10)
    assert str(found) == "0 new, 0 changed, 0 gone, 0 stale, 0 to look at again"
