"""The comparison of listing and table, against the same in plain Python."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.ingest import reconciliation, removals

NOW = "extractor of today"
PATHS = st.sampled_from([f"s3://b/in/{name}" for name in ("a.jpg", "a b.jpg", "é.jpg", "🍓.jpg", "z.JPG", "notes.txt")])
ETAGS = st.sampled_from(["1", "2"])
ROW = st.tuples(ETAGS | st.none(), st.sampled_from([NOW, "older", "oldest"]), st.booleans(), st.booleans())
ARCHIVED = st.sampled_from([True, False, None])  # as a listing tells it


def tables(listed, rows, is_archived=False):
    in_rows = [
        (path, etag, len(path), any(archived), extractor, again) for path, (etag, extractor, again, *archived) in rows.items()
    ]
    in_listing = ((path, etag, len(path), is_archived) for path, etag in listed.items())
    return (
        reconciliation.table(reconciliation.LISTED, in_listing, chunk_rows=2),
        pa.Table.from_pylist([dict(zip(reconciliation.ROWS.names, row, strict=True)) for row in in_rows], reconciliation.ROWS),
    )


@settings(deadline=None)  # the first example pays for what Arrow loads
@given(st.dictionaries(PATHS, ETAGS), st.dictionaries(PATHS, ROW), ARCHIVED)
def test_every_path_is_in_the_first_class_that_applies(listed, rows, is_archived):
    found = reconciliation.compare(*tables(listed, rows, is_archived), NOW, lambda path: not path.endswith(".txt"))
    expected = {"new": [], "changed": [], "gone": [], "again": [], "stale": [], "same": []}
    for path in {*listed, *rows}:
        etag, extractor, again, archived = rows.get(path, (None, NOW, False, False))
        restored = archived and is_archived is False
        kind = "new" if path not in rows else "gone" if path not in listed else "again" if again else None
        kind = kind or ("stale" if extractor != NOW else "changed" if restored or etag != listed[path] else "same")
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
    rows = [(str(number), "etag", number, None) for number in range(count)]
    assert [
        tuple(row.values()) for row in reconciliation.table(reconciliation.LISTED, iter(rows), chunk_rows=2).to_pylist()
    ] == rows


def plan_of(gone, new, there):
    """A plan where so many images are gone, new and unchanged; those new and gone have the same lengths."""
    names = {
        kind: [f"s3://b/{kind}/{number:05}.jpg" for number in range(count)]
        for kind, count in (("gone", gone), ("new", new), ("there", there))
    }
    listed = dict.fromkeys(names["new"] + names["there"], "1")
    rows = dict.fromkeys(names["gone"] + names["there"], ("1", NOW, False))
    lengths = {path: int(path[-9:-4]) for path in {**listed, **rows}}
    listed_table, rows_table = tables(listed, rows)
    at = listed_table.schema.get_field_index("length")
    listed_table = listed_table.set_column(at, "length", pa.array([lengths[path] for path in listed]))
    rows_table = rows_table.set_column(at, "length", pa.array([lengths[path] for path in rows]))
    return reconciliation.compare(listed_table, rows_table, NOW)


def test_a_renamed_folder_is_moved_and_neither_lost_nor_to_be_featurised():
    found = plan_of(gone=50, new=50, there=50)
    assert (found.moved, found.looks) == (50, 0)
    assert str(found) == "50 new, 0 changed, 50 gone (50 of them moved), 0 stale, 0 to look at again"
    assert not removals.too_many(len(found.gone), found.moved, found.rows)
    pairs = [event.path.rpartition("/")[2] for event in found.events()]
    assert pairs == sorted(pairs)


def test_a_loss_beside_a_move_is_counted_for_itself():
    found = plan_of(gone=50, new=38, there=50)
    assert found.moved == 38
    assert removals.too_many(len(found.gone), found.moved, found.rows)
