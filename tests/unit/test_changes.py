"""Which rows of the table a refit fits together."""

import pytest

from fruitpipe.errors import MixedExtractors
from fruitpipe.refit.changes import single_extractor

DUE, STAYS = False, True


@pytest.mark.parametrize(
    ("counts", "extractor"),
    [
        ([], None),
        ([("new", DUE, 3), ("new", DUE, 2)], "new"),
        ([("new", DUE, 3), ("old", STAYS, 9)], "new"),  # however many there are: the store does not give their images
        ([("new", DUE, 1), ("new", STAYS, 1)], "new"),
        ([("new", DUE, 1), ("old", STAYS, 1), ("older", STAYS, 1)], "new"),
        ([("old", STAYS, 2)], "old"),  # all images are archived: one extractor made all features that there are
    ],
)
def test_a_refit_leaves_out_rows_of_earlier_extractors_whose_images_the_store_does_not_give(counts, extractor):
    assert single_extractor("s3://b/root", counts) == extractor


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
        single_extractor("s3://b/root", counts)
