"""What a worker reads ahead of the model, and what counts as its end."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from fruitpipe import objects
from fruitpipe.extractor import arrow_schema, featurise, read_ahead
from fruitpipe.extractor.arrow_schema import Reference
from fruitpipe.ingest import spark_workers
from fruitpipe.pictures import decoding
from fruitpipe.pictures.bad_image import MESSAGE_CHARACTERS
from tests.pictures import jpeg


@pytest.mark.parametrize(("length", "most"), [(None, 17), (40_000_000, 3), (1_000, 136)])
def test_what_is_read_ahead_is_bounded_by_bytes_whether_their_number_is_announced_or_not(monkeypatch, length, most):
    looked = []

    def look(path, _etag, _most):
        looked.append(path)
        return objects.Found(objects.Stat(path, "etag", 40_000_000, datetime.now(UTC)), b"")

    monkeypatch.setattr(objects, "look", look)
    monkeypatch.setattr(read_ahead, "_bytes_of", lambda together, _: sum(map(read_ahead._announced, together)))
    references = iter([Reference(f"s3://b/{number}.jpg", length, None, None) for number in range(200)])
    found = read_ahead.looks(references, featurise.Featuriser(None, "fingerprint", 50_000_000)._look)
    next(found)
    assert 200 - len(list(references)) <= most


def test_what_is_read_counts_with_its_own_bytes(monkeypatch):
    monkeypatch.setattr(read_ahead, "UNKNOWN_BYTES", 1)
    body = bytes(30_000_000)
    monkeypatch.setattr(objects, "look", lambda *_: objects.Found(objects.Stat("p", "e", len(body), datetime.now(UTC)), body))
    read = featurise.Featuriser(None, "fingerprint", 50_000_000)
    ahead = [_read(read, [Reference("p")] * number) for number in (1, 2)]
    assert read_ahead._bytes_ahead(ahead) == 90_000_000


def _read(featuriser, together):
    future = Future()
    future.set_result(read_ahead._looked(together, featuriser._look))
    return together, future


@pytest.mark.parametrize("length", [None, 1_000, 4_000_000, 40_000_000])
def test_all_references_are_looked_at_in_order_and_large_ones_one_by_one(monkeypatch, length):
    monkeypatch.setattr(objects, "look", lambda *_: objects.Gone())
    given = [Reference(f"s3://b/{number}.jpg", length) for number in range(100)]
    together = list(read_ahead._together(iter(given)))
    assert [reference for some in together for reference in some] == given
    assert {len(some) for some in together[: read_ahead.READERS]} == {1}
    assert max(map(len, together)) == (read_ahead.READ_TOGETHER if length == 1_000 else 1)
    found = read_ahead.looks(iter(given), featurise.Featuriser(None, "fingerprint", 50_000_000)._look)
    assert [reference for reference, _ in found] == given


def featurised(monkeypatch, decode):
    """The rows of three images, of which the second is what `decode` makes of it."""
    good = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda body, _, **how: decode() if body == b"odd" else good(body, **how))
    monkeypatch.setattr(featurise.Featuriser, "load", lambda _: lambda pixels: np.full(1280, pixels.mean(), np.float32))
    bodies = {"s3://b/0.jpg": jpeg(0), "s3://b/1.jpg": b"odd", "s3://b/2.jpg": jpeg(2)}
    stats = {path: objects.Stat(path, "etag", len(body), datetime.now(UTC)) for path, body in bodies.items()}
    monkeypatch.setattr(objects, "look", lambda path, *_: objects.Found(stats[path], bodies[path]))
    references = pa.RecordBatch.from_pylist([{"path": path} for path in bodies], arrow_schema.REFERENCES)
    (rows,) = featurise.Featuriser(None, "fingerprint", 50_000_000)([references])
    return rows.to_pylist()


def outcome(monkeypatch, look, **known):
    """The row of one image of which a look finds that."""
    monkeypatch.setattr(featurise.Featuriser, "load", lambda _: None)
    monkeypatch.setattr(objects, "look", lambda *_: look)
    references = pa.RecordBatch.from_pylist([{"path": "s3://b/Kiwi/0.jpg", "length": 7, **known}], arrow_schema.REFERENCES)
    (rows,) = featurise.Featuriser(None, "fingerprint", 50_000_000)([references])
    (row,) = rows.to_pylist()
    return row["outcome"], row["error"], row["etag"]


STAT = objects.Stat("s3://b/Kiwi/0.jpg", "new@v2", 7, datetime.now(UTC))


@pytest.mark.parametrize(
    ("look", "good_etag", "expected"),
    [
        (objects.Unreadable("AccessDenied"), None, ("failed", "unreadable", None)),
        (objects.Unreadable("AccessDenied"), "old", ("kept", "unreadable", None)),
        (objects.Withheld("InvalidObjectState", "archived", STAT), None, ("failed", "archived", "new@v2")),
        (objects.Withheld("InvalidObjectState", "archived", STAT), "new@v1", ("kept", "archived", "new@v2")),
        (objects.Withheld("InvalidObjectState", "archived", STAT), "old", ("failed", "archived", "new@v2")),
        (objects.Withheld("KMS.DisabledException", "no-key"), "old", ("kept", "no-key", None)),
    ],
)
def test_a_row_with_features_stays_where_the_store_does_not_give_the_object_of_which_they_are(
    monkeypatch, look, good_etag, expected
):
    assert outcome(monkeypatch, look, good_etag=good_etag) == expected


@pytest.mark.parametrize(("is_stale", "expected"), [(True, "stale"), (None, "kept"), (False, "kept")])
def test_a_row_of_another_extractor_that_stays_is_to_say_why(monkeypatch, is_stale, expected):
    look = objects.Withheld("InvalidObjectState", "archived", STAT)
    assert outcome(monkeypatch, look, good_etag="new@v1", is_stale=is_stale)[:2] == (expected, "archived")
    assert outcome(monkeypatch, look, good_etag="old", is_stale=is_stale)[0] == "failed", "those features are of other bytes"


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (objects.Unreadable("AccessDenied: today by another role"), ("unchanged", "unreadable", None)),
        (objects.Withheld("KMS.DisabledException", "no-key"), ("failed", "no-key", None)),
        (objects.Withheld("InvalidObjectState", "archived", STAT), ("failed", "archived", "new@v2")),
    ],
)
def test_what_cannot_be_read_for_the_reason_that_the_row_has_changes_nothing(monkeypatch, look, expected):
    assert outcome(monkeypatch, look, known_error="unreadable") == expected


@pytest.mark.parametrize(("good_etag", "expected"), [(None, "failed"), ("etag@v1", "kept"), ("old", "failed")])
def test_what_a_listing_has_found_in_an_archive_costs_no_request(monkeypatch, good_etag, expected):
    asked = outcome(monkeypatch, None, archived_etag="etag", good_etag=good_etag)
    assert asked == (expected, "archived", "etag")


def test_what_a_look_raises_that_is_none_of_the_stores_known_faults_is_that_images(monkeypatch):
    def look(*_):
        raise ValueError("as the test has it")

    monkeypatch.setattr(objects, "look", look)
    found = featurise.Featuriser(None, "fingerprint", 50_000_000)._look(Reference("s3://b/0.jpg"))
    assert found == objects.Unreadable("ValueError: as the test has it")


@pytest.mark.parametrize(
    "error", [TypeError("unsupported operand type(s)"), RuntimeError("x" * 5000), RecursionError(), Exception()]
)
def test_whatever_a_decoder_raises_for_one_image_is_its_row_and_costs_its_neighbours_nothing(monkeypatch, error):
    def decode():
        raise error

    first, odd, last = featurised(monkeypatch, decode)
    assert (odd["outcome"], odd["error"], odd["features"]) == ("failed", "decoder-error", None)
    assert odd["error_message"].startswith(f"{type(error).__name__}: ")
    assert len(odd["error_message"]) <= MESSAGE_CHARACTERS
    assert first["outcome"] == last["outcome"] == "featurised"


@pytest.mark.parametrize("error", [MemoryError, ModuleNotFoundError])
def test_what_the_machine_or_the_installation_lacks_is_no_images_fault(monkeypatch, error):
    def decode():
        raise error

    with pytest.raises(error):
        featurised(monkeypatch, decode)


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
    assert bool(spark_workers.WORKER_GAVE_UP.search(said)) is a_worker_gave_up


def test_bytes_whose_features_the_table_has_under_another_name_are_not_decoded():
    body = b"the bytes of a picture"
    digest = hashlib.sha256(body).hexdigest()
    worker = featurise.Featuriser(None, "fingerprint", 50_000_000, copyable={digest: "extractor-scaled-2"})
    found = objects.Found(objects.Stat("file:///b/0.jpg", "etag", len(body), datetime.now(UTC)), body)
    row = worker._outcome(None, None, Reference("file:///b/0.jpg"), found)
    assert (row["outcome"], row["sha256"], row.get("features"), row["extractor"]) == ("moved", digest, None, "extractor-scaled-2")
    assert worker._outcome(None, None, Reference("file:///b/0.jpg", known_sha256=digest), found)["outcome"] == "touched"
