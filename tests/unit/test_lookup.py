from datetime import UTC, datetime

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.table import lookup, path_hashes
from fruitpipe.table.hash_index import HashIndex
from fruitpipe.table.lookup import Known, Lookup
from tests.rows import empty_table, put_rows

NOW = datetime(2026, 11, 26, tzinfo=UTC)


class Rows:
    """A table of rows by path, which counts what it is asked."""

    def __init__(self, *paths):
        self.paths, self.asked, self.read = set(paths), [], 0

    def hashes(self):
        self.read += 1
        hashes = path_hashes.of_paths(self.paths)
        return HashIndex.of(hashes, hashes)

    def ask(self, paths):
        self.asked.append(list(paths))
        return {path: Known(path, "etag", "sha256", "extractor", NOW) for path in paths if path in self.paths}


def paths(first, end):
    return [f"s3://fruits/p\u00eache/{number}.jpg" for number in range(first, end)]


def test_new_images_are_not_asked_for_and_known_ones_are():
    rows = Rows(*paths(0, 50))
    known = Lookup(rows.hashes, rows.ask)
    assert known(paths(50, 1000)) == {}
    assert rows.asked == []
    assert set(known(paths(40, 60))) == set(paths(40, 50))
    assert rows.asked == [paths(40, 60)], "the ten that were asked for before may have been written since"
    assert rows.read == 1


def test_an_empty_table_knows_nothing():
    rows = Rows()
    assert Lookup(rows.hashes, rows.ask)(paths(0, 3)) == {}
    assert rows.asked == []


def test_an_image_that_was_asked_for_is_asked_for_again_however_many_came_since(monkeypatch):
    monkeypatch.setattr(lookup, "RECENT", 10)
    rows = Rows()
    known = Lookup(rows.hashes, rows.ask)
    for first in range(0, 100, 7):
        assert known(paths(first, first + 7)) == {}
        rows.paths.update(paths(first, first + 7))
    for path in paths(0, 105):
        assert set(known([path])) == {path}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_in_the_table_is_found(seed):
    chance = np.random.default_rng(seed)
    everything = paths(0, 400)
    there = set(chance.choice(everything, 200, replace=False))
    rows = Rows(*there)
    known = Lookup(rows.hashes, rows.ask)
    for _ in range(20):
        some = list(chance.choice(everything, 30, replace=False))
        assert set(known(some)) == there.intersection(some)


def test_a_path_that_shares_anothers_hash_costs_a_question_and_is_not_taken_for_it(monkeypatch):
    monkeypatch.setattr(path_hashes, "of_path", len)
    rows = Rows("s3://fruits/1.jpg")
    assert Lookup(rows.hashes, rows.ask)(["s3://fruits/2.jpg"]) == {}
    assert rows.asked == [["s3://fruits/2.jpg"]]


def test_rows_are_chosen_by_their_names_a_batch_at_a_time(tmp_path):
    root, asked = f"file://{tmp_path}/root", []
    empty_table(root)
    paths = [f"s3://b/Kiwi/{number}.jpg" for number in range(3)]
    for version, path in enumerate(paths, start=1):
        put_rows(root, [objects.Stat(path, "e", 1, NOW)], version)

    def chosen(names):
        asked.extend(names)
        return names if paths[1] in names else []

    assert paths[1] in lookup.among(root, chosen)
    assert sorted(asked) == paths


def test_good_images_are_looked_for_outside_the_buckets_that_are_named(tmp_path):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    paths = ["s3://it's/Kiwi/1.jpg", "s3://it's/Lime/1.jpg", "s3://it's-new/Kiwi/1.jpg"]
    put_rows(root, [objects.Stat(path, "e", 1, NOW) for path in paths])
    assert lookup.good_paths(root, 3, [], ["s3://it's/"]) == paths[2:]
    assert sorted(lookup.good_paths(root, 3, [])) == sorted(paths)
