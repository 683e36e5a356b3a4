"""The index of images by hashes, in memory and in files, against a dictionary of paths and etags."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.errors import PlatformFault
from fruitpipe.runtime import local_folders
from fruitpipe.table import hash_index, path_hashes, row_store
from fruitpipe.table.hash_index import BELOW, ODD, TWICE, HashIndex, Spool
from fruitpipe.table.row_store import Rows, RowStore, joined

PAIRS = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("123")), max_size=20)
IN_MEMORY = {"HELD": 1000, "RUN": 1000, "PART": 1000}
IN_FILES = {"HELD": 2, "RUN": 3, "PART": 2}


@pytest.fixture(params=[IN_MEMORY, IN_FILES], ids=["in memory", "in files"], autouse=True)
def sizes(request, monkeypatch):
    """Sizes at which an index of a few images lies in memory, or in files by many ranges, runs and parts."""
    monkeypatch.setattr(row_store, "HELD", request.param["HELD"])
    monkeypatch.setattr(hash_index, "RUN", request.param["RUN"])
    monkeypatch.setattr(hash_index, "PART", request.param["PART"])
    return request.param


def hashes(pairs):
    paths = path_hashes.of_paths(path for path, _ in pairs)
    return paths, np.array([path_hashes.of_image(path, etag) for path, etag in pairs], np.int64)


def index(pairs):
    """As a listing makes it, image by image."""
    spool = Spool()
    for paths, images in (hashes([pair]) for pair in pairs):
        spool.add(Rows(paths, images, np.array([BELOW], np.uint8)))
    return spool.index()


def sorted_hashes(paths):
    return np.unique(path_hashes.of_paths(paths))


def rows(made):
    return joined([part for (part,) in made.parts()])


@given(PAIRS, PAIRS, PAIRS)
@settings(deadline=None)
def test_it_is_a_dictionary_of_paths_and_etags(first, second, asked):
    before, after = dict(first), dict(second)
    seen, later = index(first), HashIndex.of(*hashes(second))
    assert seen.has(*hashes(asked)).tolist() == [before.get(path) == etag for path, etag in asked]
    assert seen.has_path(hashes(asked)[0]).tolist() == [path in before for path, _ in asked]
    assert seen.missing_in(later).tolist() == sorted_hashes(before.keys() - after.keys()).tolist()
    both = before | after
    assert seen.updated(later).has(*hashes(asked)).tolist() == [both.get(path) == etag for path, etag in asked]
    assert (len(seen), len(later), len(seen.updated(later))) == (len(before), len(after), len(both))
    rest = {path: etag for path, etag in before.items() if path not in after}
    assert seen.without(sorted_hashes(after)).has(*hashes(asked)).tolist() == [rest.get(path) == etag for path, etag in asked]
    assert rows(seen).paths.tolist() == sorted_hashes(before).tolist()


@given(PAIRS)
@settings(deadline=None)
def test_a_path_that_comes_more_than_once_is_marked(pairs):
    paths = [path for path, _ in pairs]
    twice = {path for path in paths if paths.count(path) > 1}
    made = index(pairs)
    assert made.flagged(TWICE).tolist() == sorted_hashes(twice).tolist()
    assert made.has(*hashes(dict(pairs).items()), but=TWICE).tolist() == [path not in twice for path in dict(pairs)]
    assert made.has_path(hashes(pairs)[0]).all()


def test_images_are_found_but_for_those_with_a_flag_and_below_the_prefix_alone():
    paths, images = hashes([("a", "1"), ("b", "1"), ("c", "1")])
    spool = Spool()
    spool.add(Rows(paths, images, np.array([BELOW, BELOW | ODD, 0], np.uint8)))
    made = spool.index()
    assert made.has(paths, images).tolist() == [True, True, True]
    assert made.has(paths, images, but=ODD).tolist() == [True, False, True]
    assert made.below().has_path(paths).tolist() == [True, True, False]
    assert made.flagged(ODD).tolist() == paths[1:2].tolist()


def test_many_look_ups_find_what_few_find(monkeypatch):
    monkeypatch.setattr(hash_index, "LOOKED_UP", 2)
    made = index([(path, "1") for path in "abcdef"])
    for _ in range(5):
        assert made.has_path(path_hashes.of_paths("axf")).tolist() == [True, False, True]


def nameless():
    """How many files of the process's folder are open that have no name there any more."""
    found = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()] if Path("/proc").is_dir() else []
    return sum(name.startswith(f"{local_folders.own()}/") and name.endswith(" (deleted)") for name in found)


def test_the_files_have_no_names_and_go_with_the_index(sizes):
    gc.collect()
    there, before = {*local_folders.own().iterdir()}, nameless()
    made = [index([(path, "1") for path in "abcdef"]) for _ in range(3)]
    assert {*local_folders.own().iterdir()} == there
    if Path("/proc").is_dir():
        assert (nameless() > before) == (sizes is IN_FILES)
        del made
        gc.collect()
        assert nameless() == before


def test_a_disk_that_is_full_is_told_in_a_line(sizes, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_store.tempfile, "TemporaryFile", full)
    if sizes is IN_FILES:
        with pytest.raises(
            PlatformFault, match=r"spark: cannot be written \(\[Errno 28\] No space .*\); make room, or name another"
        ):
            index([(path, "1") for path in "abcdef"])


@given(st.lists(st.integers(0, 5), max_size=6))
@settings(deadline=None)
def test_rows_are_read_as_they_were_appended(lengths):
    store, numbers = RowStore(), np.arange(sum(lengths))
    for part in np.split(numbers, np.cumsum(lengths)):
        store.append(Rows(part, -part, part.astype(np.uint8)))
    for start in range(len(numbers) + 1):
        for stop in range(start, len(numbers) + 1):
            read = store.read(start, stop)
            there = list(range(start, stop))
            assert [column.tolist() for column in read] == [there, [-number for number in there], there]
    assert store.all().images.tolist() == (-numbers).tolist()
    assert len(store) == len(numbers)
