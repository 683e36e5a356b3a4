"""Which rows are of one function, and which are to be computed again."""

import itertools

import duckdb
import pytest
from PIL import Image

from fruitpipe.pictures import scaling, variants
from fruitpipe.pictures.decoding import decode
from tests.encodings import JPEG, encoded

AVIF, HEIC = (f"f-{variants.Current('f').variants[name]}" for name in ("avif", "heif"))
LARGE, SMALL = (4000, 3000), (100, 100)


@pytest.mark.parametrize(
    ("extractor", "size", "scaled", "in_full"),
    [
        ("f", SMALL, True, True),
        ("f", (1343, 9000), True, True),
        ("f", LARGE, False, True),
        ("f", (None, None), True, True),
        ("f-scaled-2", LARGE, True, False),
        ("f-scaled-2", (1344, 1344), True, False),
        ("f-scaled-0", LARGE, False, False),
        ("f-scaled-2", SMALL, False, False),
        (AVIF, SMALL, True, True),
        (HEIC, LARGE, True, True),
        ("f-heif-1.0.0", LARGE, False, False),
        ("g", SMALL, False, False),
        ("g-scaled-2", LARGE, False, False),
    ],
)
def test_a_row_is_up_to_date_where_pictures_of_its_class_are_decoded_so(extractor, size, scaled, in_full):
    """Told alike by the driver, image by image, and by the reconciliation's SQL, which another engine runs here."""
    for current, expected in ((variants.Current("f"), scaled), (variants.Current("f", in_full=True), in_full)):
        assert current.made(extractor, *size) is expected
        width, height = ("NULL::INT" if side is None else side for side in size)
        row = f"SELECT {current.sql()} FROM (SELECT '{extractor}' AS extractor, {width} AS width, {height} AS height)"
        ((said,),) = duckdb.sql(row).fetchall()
        assert (said == "f") is expected
        assert said in {"f", "f-full", extractor}


@pytest.mark.parametrize(
    ("rows", "mixed"),
    [
        ([("f", False)], False),
        ([("f", False), ("f-scaled-2", True), (AVIF, True), (AVIF, False), (HEIC, True)], False),
        ([("f", False), ("f", True), (HEIC, False)], False),
        ([("f", True), ("f-scaled-2", True)], True),
        ([("f-scaled-1", True), ("f-scaled-2", True)], True),
        ([("f", False), ("f-heif-1.0.0", True), ("f-heif-2.0.0", True)], True),
        ([("f", False), ("g", False)], True),
        ([("f", False), ("g-scaled-2", True)], True),
    ],
)
def test_rows_are_mixed_where_one_class_of_pictures_has_two_variants(rows, mixed):
    assert all(variants.are_mixed(order) is mixed for order in itertools.permutations(rows))


def test_the_variant_of_a_picture_goes_by_its_size_and_its_container():
    large = Image.new("RGB", (scaling.LARGE_FROM_PX, scaling.LARGE_FROM_PX))
    assert decode(JPEG).variant == ""
    assert decode(encoded(large, "JPEG")).variant == decode(encoded(large, "PNG")).variant == "scaled-2"
    assert decode(encoded(large, "JPEG"), in_full=True).variant == decode(encoded(large, "PNG"), in_full=True).variant == ""
    assert variants.extractor("f", decode(encoded(large.resize((40, 40)), "AVIF"), in_full=True).variant) == AVIF
