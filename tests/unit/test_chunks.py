"""How a batch is divided into chunks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.extractor import featurise
from fruitpipe.ingest.chunks import Chunk, FeaturisedChunk, divided, tapered
from fruitpipe.table.data_files import Group


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
    chunk = FeaturisedChunk(Chunk(featurise.REFERENCES.empty_table(), []), groups, 0.0)
    assert chunk.reasons == {"archived": 2, "truncated": 1}
    assert chunk.count("error")["archived"] == 12
