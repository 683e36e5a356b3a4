"""The comparison of listing and table, against the same in plain Python."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.ingest import reconciliation

NOW = "extractor of today"
PATHS = st.sampled_from([f"s3://b/in/{name}" for name in ("a.jpg", "a b.jpg", "é.jpg", "🍓.jpg", "z.JPG", "notes.txt")])
ETAGS = st.sampled_from(["1", "2"])
ROW = st.tuples(ETAGS | st.none(), st.sampled_from([NOW, "older", "oldest"]), st.booleans())


def tables(listed, rows):
    in_rows = [(path, *row) for path, row in rows.items()]
    return (
        reconciliation.table(reconciliation.LISTED, iter(listed.items()), chunk_rows=2),
        pa.Table.from_pylist([dict(zip(reconciliation.ROWS.names, row, strict=True)) for row in in_rows], reconciliation.ROWS),
    )


@settings(deadline=None)  # the first example pays for what Arrow loads
@given(st.dictionaries(PATHS, ETAGS), st.dictionaries(PATHS, ROW))
def test_every_path_is_in_the_first_class_that_applies(listed, rows):
    found = reconciliation.compare(*tables(listed, rows), NOW, lambda path: not path.endswith(".txt"))
    expected = {"new": [], "changed": [], "gone": [], "again": [], "stale": [], "same": []}
    for path in {*listed, *rows}:
        etag, extractor, again = rows.get(path, (None, NOW, False))
        kind = "new" if path not in rows else "gone" if path not in listed else "again" if again else None
        kind = kind or ("stale" if extractor != NOW else "changed" if etag != listed[path] else "same")
        expected[kind].append(path)
    expected["gone"] = [path for path in expected["gone"] if not path.endswith(".txt")]
    for kind in ("new", "changed", "gone", "again"):
        assert getattr(found, kind) == sorted(expected[kind])
    assert found.stale == [path for path in rows if path in expected["stale"]]
    assert found.stale_by_extractor == Counter(rows[path][1] for path in found.stale)
    assert found.rows == len(rows.keys() & listed.keys()) + len(found.gone)


def test_an_image_with_more_than_one_row_is_in_no_other_class_and_counts_once():
    listed = {f"s3://b/in/{name}.jpg": "1" for name in ("a", "b", "new")}
    listing, rows = tables(listed, {"s3://b/in/a.jpg": ("2", "older", True), "s3://b/in/b.jpg": ("1", NOW, False)})
    _, again = tables({}, {"s3://b/in/a.jpg": ("1", NOW, False), "s3://b/in/gone.jpg": ("1", NOW, False)})
    _, gone = tables({}, {"s3://b/in/gone.jpg": ("1", NOW, False)})
    found = reconciliation.compare(listing, pa.concat_tables([rows, again, gone]), NOW)
    assert str(found) == "1 new, 0 changed, 1 gone, 0 stale, 0 to look at again, 1 with more than one row"
    assert (found.twice, found.rows, found.looks) == (["s3://b/in/a.jpg"], 3, 2)
    named = [(event.event, event.path) for event in found.events()]
    assert named == [("created", "s3://b/in/new.jpg"), ("created", "s3://b/in/a.jpg"), ("removed", "s3://b/in/gone.jpg")]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_table_is_made_of_any_number_of_rows(count):
    rows = [(str(number), "etag") for number in range(count)]
    assert [
        tuple(row.values()) for row in reconciliation.table(reconciliation.LISTED, iter(rows), chunk_rows=2).to_pylist()
    ] == rows
