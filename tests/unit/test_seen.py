"""What a listing has seen, against a dictionary of paths and etags."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fruitpipe.ingest.seen import Seen
from fruitpipe.table import path_hashes

PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123")), max_size=12)


def hashes(pairs):
    paths = path_hashes.of_paths(path for path, _ in pairs)
    return paths, np.array([path_hashes.of_image(path, etag) for path, etag in pairs], np.int64)


def sorted_hashes(paths):
    return np.unique(path_hashes.of_paths(paths))


@given(PAIRS, PAIRS, PAIRS)
def test_it_is_a_dictionary_of_paths_and_etags(first, second, asked):
    before, after = dict(first), dict(second)
    seen, later = Seen.of(*hashes(first)), Seen.of(*hashes(second))
    assert seen.has(*hashes(asked)).tolist() == [before.get(path) == etag for path, etag in asked]
    assert set(seen.missing_in(later).tolist()) == set(path_hashes.of_paths(before.keys() - after.keys()).tolist())
    both = before | after
    assert seen.updated(later).has(*hashes(asked)).tolist() == [both.get(path) == etag for path, etag in asked]
    assert len(seen.updated(later)) == len(both)
    rest = {path: etag for path, etag in before.items() if path not in after}
    assert seen.without(sorted_hashes(after)).has(*hashes(asked)).tolist() == [rest.get(path) == etag for path, etag in asked]
