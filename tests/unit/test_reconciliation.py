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


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_table_is_made_of_any_number_of_rows(count):
    rows = [(str(number), "etag") for number in range(count)]
    assert [
        tuple(row.values()) for row in reconciliation.table(reconciliation.LISTED, iter(rows), chunk_rows=2).to_pylist()
    ] == rows
