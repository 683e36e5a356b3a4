"""What a worker reads ahead of the model, and what counts as its end."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import UTC, datetime

import pytest

from fruitpipe import objects
from fruitpipe.extractor import featurise
from fruitpipe.ingest import halving


@pytest.mark.parametrize(("length", "most"), [(None, 17), (40_000_000, 3), (1_000, 136)])
def test_what_is_read_ahead_is_bounded_by_bytes_whether_their_number_is_announced_or_not(monkeypatch, length, most):
    looked = []

    def look(path, _etag, _most):
        looked.append(path)
        return objects.Found(objects.Stat(path, "etag", 40_000_000, datetime.now(UTC)), b"")

    monkeypatch.setattr(objects, "look", look)
    monkeypatch.setattr(featurise, "_bytes_of", lambda together, _: sum(map(featurise._announced, together)))
    references = iter([featurise.Reference(f"s3://b/{number}.jpg", length, None, None) for number in range(200)])
    found = featurise.Featuriser(None, "extractor", 50_000_000)._looks(references)
    next(found)
    assert 200 - len(list(references)) <= most


def test_what_is_read_counts_with_its_own_bytes(monkeypatch):
    monkeypatch.setattr(featurise, "UNKNOWN_BYTES", 1)
    body = bytes(30_000_000)
    monkeypatch.setattr(objects, "look", lambda *_: objects.Found(objects.Stat("p", "e", len(body), datetime.now(UTC)), body))
    read = featurise.Featuriser(None, "extractor", 50_000_000)
    ahead = [_read(read, [featurise.Reference("p")] * number) for number in (1, 2)]
    assert featurise._bytes_ahead(ahead) == 90_000_000


def _read(featuriser, together):
    future = Future()
    future.set_result(featuriser._look_at(together))
    return together, future


@pytest.mark.parametrize("length", [None, 1_000, 4_000_000, 40_000_000])
def test_all_references_are_looked_at_in_order_and_large_ones_one_by_one(monkeypatch, length):
    monkeypatch.setattr(objects, "look", lambda *_: objects.Gone())
    given = [featurise.Reference(f"s3://b/{number}.jpg", length) for number in range(100)]
    together = list(featurise._together(iter(given)))
    assert [reference for some in together for reference in some] == given
    assert {len(some) for some in together[: featurise.READERS]} == {1}
    assert max(map(len, together)) == (featurise.READ_TOGETHER if length == 1_000 else 1)
    found = featurise.Featuriser(None, "extractor", 50_000_000)._looks(iter(given))
    assert [reference for reference, _ in found] == given


@pytest.mark.parametrize(
    ("said", "a_worker_gave_up"),
    [
        ("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)", True),
        ("File decode.py, line 3\nMemoryError", True),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate", True),
        ("java.lang.OutOfMemoryError: Java heap space", False),
    ],
)
def test_where_java_ran_out_of_memory_no_image_is_to_blame(said, a_worker_gave_up):
    assert bool(halving.WORKER_GAVE_UP.search(said)) is a_worker_gave_up
