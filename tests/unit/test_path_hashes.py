"""The hashes by which rows are known: of names and etags, of the rows of a table, and what is found by them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.table import hash_index, path_hashes
from fruitpipe.table.hash_index import BELOW
from fruitpipe.table.path_hashes import Row
from fruitpipe.table.row_store import joined
from tests.rows import empty_table, put_rows

NOW = datetime(2026, 11, 26, tzinfo=UTC)
PEACH = "s3://fruits/p\u00eache.jpg"
# By sha256sum of GNU coreutils, of PEACH in UTF-8 alone, and with a line break and the etag behind it.
OF_PEACH, OF_PEACH_AND_ETAG = 0xBDD376CDB2E1E96, 0xFEC345C31F5E822


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def table(root):
    """A table of two files, with rows of which some lie below s3://fruits/O'Hara."""
    empty_table(root)
    put_rows(root, [stat("s3://fruits/O'Hara/1.jpg", 10), stat("s3://fruits/O'Hara 2/1.jpg", 20)], version=1)
    put_rows(root, [stat("s3://fruits/O'Hara/2.jpg", 30, "abc@v1"), stat("s3://fruits/O'Hara", 40)], version=2)


def rows_of(index):
    return joined([rows for (rows,) in index.parts()])


def stat(path, length, etag="abc"):
    return objects.Stat(path, etag, length, NOW)


def test_a_path_is_known_by_the_first_60_bits_of_its_sha256():
    assert path_hashes.of_path("abc") == 0xBA7816BF8F01CFE, "the example of FIPS 180-4"
    assert path_hashes.of_path(PEACH) == OF_PEACH
    paths = path_hashes.of_paths(iter(["abc", PEACH]))
    assert paths.tolist() == [0xBA7816BF8F01CFE, OF_PEACH]
    assert paths.dtype == np.int64


def test_an_image_is_known_by_its_path_and_its_etag():
    assert path_hashes.of_image(PEACH, "abc-2") == OF_PEACH_AND_ETAG


@pytest.mark.usefixtures("table")
def test_the_rows_of_a_table_have_the_hashes_of_their_names_and_of_their_etags_without_a_version(root):
    rows = rows_of(path_hashes.of_rows(root, "s3://fruits"))
    names = ["s3://fruits/O'Hara/1.jpg", "s3://fruits/O'Hara 2/1.jpg", "s3://fruits/O'Hara/2.jpg", "s3://fruits/O'Hara"]
    assert sorted(rows.paths) == sorted(path_hashes.of_path(name) for name in names)
    assert sorted(rows.images) == sorted(path_hashes.of_image(name, "abc") for name in names)
    images = {path_hashes.of_path(name): path_hashes.of_image(name, "abc") for name in names}
    assert dict(zip(rows.paths.tolist(), rows.images.tolist(), strict=True)) == images
    assert rows.flags.tolist() == [BELOW] * 4
    assert [column.dtype for column in rows] == [np.int64, np.int64, np.uint8]


@pytest.mark.usefixtures("table")
def test_rows_lie_below_a_prefix_that_is_their_folder_or_the_one_image_itself(root):
    rows = path_hashes.of_rows(root, "s3://fruits/O'Hara")
    below = ["s3://fruits/O'Hara/1.jpg", "s3://fruits/O'Hara/2.jpg", "s3://fruits/O'Hara"]
    assert len(rows) == 4
    assert sorted(rows_of(rows.below()).paths) == sorted(path_hashes.of_path(name) for name in below)


@pytest.mark.usefixtures("table")
def test_rows_are_found_by_the_hashes_of_their_paths_below_a_prefix(root):
    names = ["s3://fruits/O'Hara/2.jpg", "s3://fruits/O'Hara 2/1.jpg", "s3://fruits/O'Hara/new.jpg"]
    asked = np.sort(path_hashes.of_paths(names))
    assert path_hashes.rows_of(root, asked, "s3://fruits/O'Hara") == [Row("s3://fruits/O'Hara/2.jpg", 30)]
    found = [Row("s3://fruits/O'Hara 2/1.jpg", 20), Row("s3://fruits/O'Hara/2.jpg", 30)]
    assert sorted(path_hashes.rows_of(root, asked, "s3://fruits")) == found


@pytest.mark.parametrize("is_made", [True, False])
def test_where_there_is_no_row_there_is_no_hash(root, is_made):
    if is_made:
        empty_table(root)
    assert len(path_hashes.of_rows(root, "s3://fruits")) == 0
    assert path_hashes.rows_of(root, path_hashes.of_paths([PEACH]), "s3://fruits") == []


@pytest.mark.parametrize(
    ("those", "asked"), [([], [1, 2]), ([3], []), ([3], [2, 3, 4]), ([1, 3, 5], [0, 1, 2, 3, 4, 5, 6, 5, 1]), ([2, 2], [2, 1])]
)
def test_what_is_among_sorted_numbers_is_found_as_in_a_set(those, asked):
    found = hash_index.among(np.array(those, np.int64), np.array(asked, np.int64))
    assert found.tolist() == [number in those for number in asked]
    assert found.dtype == bool
