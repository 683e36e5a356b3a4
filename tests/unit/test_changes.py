"""Which rows of the table a refit fits together."""

from types import SimpleNamespace

import duckdb
import pytest

from fruitpipe.errors import MixedExtractors
from fruitpipe.refit import changes, fitted_rows

DUE, STAYS = False, True


@pytest.mark.parametrize(
    ("counts", "extractor"),
    [
        ([], ""),
        ([("new", DUE, 3), ("new", DUE, 2)], "new"),
        ([("new", DUE, 3), ("old", STAYS, 9)], "new"),  # however many there are: the store does not give their images
        ([("new", DUE, 1), ("new", STAYS, 1)], "new"),
        ([("new", DUE, 1), ("old", STAYS, 1), ("older", STAYS, 1)], "new"),
        ([("old", STAYS, 2)], "old"),  # all images are archived: one extractor made all features that there are
    ],
)
def test_a_refit_leaves_out_rows_of_earlier_extractors_whose_images_the_store_does_not_give(counts, extractor):
    fitted = fitted_rows.of("s3://b/root", [(name, False, stays, rows) for name, stays, rows in counts])
    assert fitted.fingerprint == extractor
    assert fitted.condition == (f"extractor = '{extractor}'" if extractor else "")


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (
            [("old", DUE, 5), ("new", DUE, 2), ("old", DUE, 1), ("x", STAYS, 4)],
            r"of 2 .*: new \(2 rows\), old \(6 rows\); run",
        ),
        ([("old", STAYS, 5), ("older", STAYS, 2)], r"of 2 .*: old \(5 rows\), older \(2 rows\); run"),
    ],
)
def test_rows_of_two_extractors_are_refused_where_those_of_one_can_still_be_computed(counts, told):
    with pytest.raises(MixedExtractors, match=told):
        fitted_rows.of("s3://b/root", [(name, False, stays, rows) for name, stays, rows in counts])


SMALL, LARGE = False, True


def test_rows_of_large_pictures_that_were_decoded_in_full_are_left_out_though_small_ones_have_the_same_extractor():
    counts = [("f", SMALL, DUE, 5), ("f-scaled-2", LARGE, DUE, 2), ("f", LARGE, STAYS, 1)]
    fitted = fitted_rows.of("s3://b/root", counts)
    assert (fitted.fingerprint, fitted.left_out) == ("f", {("f", LARGE)})
    assert fitted.variants == {"large": "scaled-2"}
    assert not fitted.are_told_by_extractor
    table = "(VALUES ('f', 100, 100), ('f', 4000, 3000), ('f-scaled-2', 4000, 3000), ('g', 100, 100)) t(extractor, width, height)"
    taken = duckdb.sql(f"SELECT extractor, width FROM {table} WHERE {fitted.condition} ORDER BY ALL").fetchall()
    assert taken == [("f", 100), ("f-scaled-2", 4000)]


def test_rows_that_stay_and_are_of_the_same_function_are_fitted_too():
    fitted = fitted_rows.of("s3://b/root", [("f", SMALL, DUE, 5), ("f-heif-1.23.6", LARGE, STAYS, 1), ("g", SMALL, STAYS, 1)])
    assert fitted.variants == {"heif": "heif-1.23.6"}
    assert (fitted.extractors, fitted.are_told_by_extractor) == (("f", "f-heif-1.23.6"), True)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (
            [("f", SMALL, DUE, 5), ("f", LARGE, DUE, 3), ("f-scaled-2", LARGE, DUE, 2), ("f-avif-1.4.2", SMALL, DUE, 9)],
            r"root: features must not be mixed of large pictures decoded as full \(3 rows\), scaled-2 \(2 rows\); run",
        ),
        (
            [("f", SMALL, DUE, 5), ("f-scaled-2", LARGE, DUE, 2), ("g", SMALL, DUE, 1)],
            r"root: features of 2 extractors must not be mixed: f \(7 rows\), g \(1 rows\); run",
        ),
    ],
)
def test_what_must_not_be_mixed_is_told_without_the_rows_that_fit_both(counts, told):
    with pytest.raises(MixedExtractors, match=told):
        fitted_rows.of("s3://b/root", counts)


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [
        ({}, {("f", SMALL)}, True),
        ({}, {("f", SMALL), ("f-scaled-2", LARGE)}, True),  # the first large ones came since: they are changes
        ({"large": "scaled-2"}, {("f-scaled-2", LARGE)}, True),
        ({"large": "scaled-2"}, {("f", SMALL)}, True),
        ({"large": "full"}, {("f-scaled-2", LARGE)}, False),
        ({"avif": "avif-1.3"}, {("f", SMALL), ("f-avif-1.4", LARGE)}, False),
        (None, {("f", SMALL)}, True),  # of an earlier fruitpipe, which did not say
        (None, {("f", LARGE)}, False),
    ],
)
def test_no_refit_goes_on_from_a_version_of_rows_of_which_others_are_fitted_now_though_none_of_them_changed(before, now, goes_on):
    """One that was fitted is removed, and one that was left out is fitted in its place: their number is what it was."""
    pinned = changes.Pinned("s3://b/root", "id", 8, fitted_rows.FittedRows(frozenset(now)), 5, (), plain=True)
    facts = {"version": "v000001", "extractor": "f", "features_table": "id", "features_version": 7}
    previous = SimpleNamespace(facts=facts | ({} if before is None else {"preprocessing": before}))
    if goes_on:
        assert changes._usable(pinned, previous, full=False) is previous
    else:
        with pytest.raises(changes._ReadAllError, match="v000001 was fitted on pictures of which a class"):
            changes._usable(pinned, previous, full=False)
