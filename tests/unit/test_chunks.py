"""How a batch is divided into chunks, what the workers are told of its images, and what became of them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.extractor import arrow_schema
from fruitpipe.ingest.chunks import Chunk, FeaturisedChunk, divided, reference_table, tapered
from fruitpipe.pictures.variants import Current
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.table.data_files import Group
from fruitpipe.table.lookup import Known

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@dataclass
class Settings:
    """What counts of a featuriser."""

    fingerprint: str = "now"
    max_image_bytes: int = 100

    @property
    def current(self):
        return Current(self.fingerprint)


def sizes(chunks):
    return [len(chunk) for chunk in chunks]


@settings(deadline=None)
@given(st.integers(0, 20_000), st.integers(3, 8000))
def test_chunks_hold_each_image_once_and_in_order(images, size):
    for chunks in (divided(range(images), size), tapered(range(images), size)):
        assert [image for chunk in chunks for image in chunk] == list(range(images))


@given(st.integers(2000, 200_000), st.integers(1, 64))
def test_a_large_batch_ends_in_parts_of_a_chunk_whose_files_are_not_too_small(images, cores):
    made = sizes(tapered(range(images), 1000 * cores))
    if images >= 2000 * cores:
        assert max(made) == 1000 * cores
        assert 250 * cores <= made[-1] <= 450 * cores
    assert min(made) >= min(images, 250 * cores)


def test_only_a_batch_of_new_images_that_is_two_chunks_or_more_ends_in_parts_of_one():
    assert sizes(tapered(range(10_000), 2000)) == [2000, 2000, 2000, 2000, 667, 667, 666]
    assert sizes(divided(range(10_000), 2000)) == [2000] * 5
    assert sizes(tapered(range(2999), 2000)) == [2999]
    assert sizes(tapered(range(3999), 2000)) == [2000, 1999]
    assert sizes(tapered(range(0), 2000)) == []


def test_an_image_whose_row_stays_did_not_fail_whatever_the_store_said_of_it():
    groups = [
        Group("kept", "archived", 10, None, "in an archive", None),
        Group("failed", "archived", 2, None, "in an archive", None),
        Group("failed", "truncated", 1, None, "without the end", None),
        Group("featurised", None, 5, 0.1, None, "{}"),
    ]
    chunk = FeaturisedChunk(Chunk(arrow_schema.REFERENCES.empty_table(), []), groups, 0.0)
    assert chunk.reasons == {"archived": 2, "truncated": 1}
    assert chunk.count("error")["archived"] == 12


def test_parts_are_as_even_as_can_be():
    assert sizes(divided(range(1400), 1000)) == [1400]
    assert sizes(divided(range(1600), 1000)) == [800, 800]
    assert sizes(divided(range(10), 3)) == [4, 4, 2]
    assert sizes(divided(range(1), 1000)) == [1]
    assert sizes(divided([], 1000)) == []


def test_a_batch_of_exactly_two_chunks_ends_in_parts_of_one():
    assert sizes(tapered(range(4000), 2000)) == [2000, 667, 667, 666]
    assert sizes(tapered(range(2000), 2000)) == [2000]


def referred(known, event=None):
    path = "s3://fruits/1.jpg"
    rows = {path: known} if known else {}
    (reference,) = reference_table([event or ImageEvent("created", path)], rows, Settings()).to_pylist()
    return {name: value for name, value in reference.items() if name != "path" and value is not None}


def of_row(extractor="now", error=None, length=None):
    return Known("s3://fruits/1.jpg", "etag", "sha", extractor, NOW, error, length)


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (None, {}),
        (of_row(), {"known_etag": "etag", "known_sha256": "sha", "good_etag": "etag"}),
        (of_row("older"), {"good_etag": "etag", "is_stale": True}),
        (of_row("older")._replace(error_message="archived: in an archive"), {"good_etag": "etag"}),
        (of_row(error="truncated"), {"known_etag": "etag", "known_sha256": "sha"}),
        (of_row("older", "truncated"), {}),
        (of_row(error="no-key"), {}),
        (of_row(error="unreadable")._replace(etag=None, sha256=None), {"known_error": "unreadable"}),
        (of_row("older", "unreadable")._replace(etag=None, sha256=None), {}),
        (of_row(error="too-large", length=100), {}),
        (of_row(error="too-large", length=101), {"known_etag": "etag", "known_sha256": "sha"}),
    ],
)
def test_a_worker_is_told_what_the_row_has_unless_another_look_may_give_another_row(known, told):
    assert referred(known) == told


def test_a_worker_is_told_the_length_of_the_event_and_the_etag_of_what_is_archived():
    event = ImageEvent("created", "s3://fruits/1.jpg", "new", 42)
    assert referred(None, event) == {"length": 42}
    archived = ImageEvent("created", "s3://fruits/1.jpg", "new", 42, archived=True)
    assert referred(None, archived) == {"length": 42, "archived_etag": "new"}


def test_references_keep_the_order_of_the_events_and_their_schema():
    paths = [f"s3://fruits/{number}.jpg" for number in (3, 1, 2)]
    references = reference_table([ImageEvent("created", path) for path in paths], {paths[1]: of_row()}, Settings())
    assert references.schema == arrow_schema.REFERENCES
    assert references["known_etag"].to_pylist() == [None, "etag", None]
    assert Chunk(references, []).paths == paths


def test_a_featurised_chunk_counts_images_by_outcome_and_names_files_once_and_what_is_gone():
    groups = [
        Group("featurised", None, 5, 1.0, None, "b"),
        Group("failed", "truncated", 2, 1.0, "cut", "b"),
        Group("featurised", None, 3, 1.0, None, "a"),
        Group("gone", None, 2, None, None, None, ["x", "y"]),
        Group("gone", None, 1, None, None, None, ["z"]),
    ]
    references = pa.Table.from_pylist([], arrow_schema.REFERENCES)
    featurised = FeaturisedChunk(Chunk(references, [], said_gone=frozenset({"y"})), groups, 1.0)
    assert featurised.files == ["a", "b"]
    assert featurised.gone == ["x", "y", "z"]
    assert featurised.unexpectedly_gone == ["x", "z"]
    assert featurised.count("outcome") == {"featurised": 8, "failed": 2, "gone": 3}
    assert featurised.count("error") == {None: 11, "truncated": 2}
