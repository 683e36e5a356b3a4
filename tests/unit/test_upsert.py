"""How a batch is divided into chunks."""

from hypothesis import given
from hypothesis import strategies as st

from fruitpipe.upsert import _chunks


def sizes(images, most, least):
    return [len(chunk) for chunk in _chunks(range(images), most, least)]


@given(st.integers(0, 20_000), st.integers(1, 64), st.integers(1, 1000))
def test_chunks_hold_each_image_once_and_in_order(images, cores, least):
    assert [image for chunk in _chunks(range(images), 1000 * cores, least * cores) for image in chunk] == list(range(images))


@given(st.integers(1, 200_000), st.integers(1, 64), st.integers(1, 500))
def test_chunks_grow_smaller_and_none_is_too_large_or_too_small(images, cores, least):
    made = sizes(images, 1000 * cores, least * cores)
    assert made == sorted(made, reverse=True)
    assert made[0] <= 1000 * cores
    assert made[-1] >= min(images, least * cores)
    assert made[-1] < 2 * least * cores


def test_a_large_batch_ends_in_chunks_of_a_second_and_a_merge_is_made_of_few():
    assert sizes(10_000, most=2000, least=250) == [2000, 2000, 2000, 2000, 1000, 500, 250, 250]
    assert sizes(10_000, most=2000, least=1000) == [2000, 2000, 2000, 2000, 1000, 1000]
    assert sizes(300, most=2000, least=250) == [300]
    assert sizes(0, most=2000, least=250) == []
