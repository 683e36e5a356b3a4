"""Listing by ranges finds each name once, whatever the names and wherever they are cut."""

from __future__ import annotations

import random
import threading
from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.objects import listing


class Bucket:
    """Lists as S3 does, a page of `size` names at a time, and counts what it is asked."""

    def __init__(self, names, size=1000):
        self.names, self.size, self.asked, self.lock = sorted(names), size, 0, threading.Lock()

    def page(self, after):
        with self.lock:
            self.asked += 1
        first = bisect_right(self.names, after) if after else 0
        page = self.names[first : first + self.size]
        return page, page, first + self.size < len(self.names)

    def folders(self, below, after):
        with self.lock:
            self.asked += 1
        inside = (name.removeprefix(below) for name in self.names if name.startswith(below) and name > after)
        return sorted({f"{below}{name.split('/')[0]}/" for name in inside if "/" in name})[: self.size]

    def listed(self):
        return list(listing.listed(self.page, self.folders))


@settings(max_examples=200, deadline=None)
@given(st.sets(st.text("ab0/é🍓~", min_size=1, max_size=6), max_size=60), st.integers(1, 5))
def test_each_name_is_found_once(names, size):
    assert sorted(Bucket(names, size).listed()) == sorted(names)


LAYOUTS = {
    "numbered, in one folder": [f"img_{number:06}.jpg" for number in range(40_000)],
    "by label": [f"{label}/r_{number}_100.jpg" for label in map(str, range(131)) for number in range(300)],
    "digests": [f"{random.Random(number).getrandbits(128):032x}.jpg" for number in range(40_000)],
    "by day and label": [f"2026/{day:02}/Kiwi {kind}/{n}.jpg" for day in range(1, 29) for kind in "ABC" for n in range(500)],
}


@pytest.mark.parametrize("listers", [1, 16, 24])
@pytest.mark.parametrize("names", LAYOUTS.values(), ids=LAYOUTS)
def test_many_pages_are_asked_for_at_once_and_few_in_vain(names, listers):
    bucket, most, pages = Bucket(names), 0, -(-len(names) // 1000)
    together, running = threading.Condition(), set()

    def page(after):
        """Until as many requests have waited together as there are listers, each waits a while for the others."""
        nonlocal most
        with together:
            running.add(threading.get_ident())
            most = max(most, len(running))
            together.notify_all()
            together.wait_for(lambda: most >= listers, timeout=0.2)
            running.discard(threading.get_ident())
        return bucket.page(after)

    assert sorted(listing.listed(page, bucket.folders, listers)) == sorted(names)
    assert most == listers
    assert bucket.asked < 5 * pages + listing.MOST_CUTS


def test_a_listing_of_one_page_is_one_request():
    bucket = Bucket(["a", "b/c"])
    assert bucket.listed() == ["a", "b/c"]
    assert bucket.asked == 1


def test_numbers_are_cut_where_they_count_on():
    names = [f"img_{number:06}" for number in range(1000)]
    assert {"img_1", "img_9", "img_001", "img_01"} <= set(listing.cuts_by_name(names))
