"""Moments are what two passes over all rows at once would give, however the rows come."""

import io

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fruitpipe.reduction.moments import BLOCK_ROWS, Moments, un_npz
from fruitpipe.refit.changes import MOST_CANCELLATION

SCALES = np.array([1e-8, 1e-4, 1.0, 1e4, 1e8, 1.0, 1.0])


def sample(count, seed=0):
    """Badly scaled, correlated, off-centre columns; the last two are constant, at values that float32 only rounds."""
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(count, 7)) @ rng.normal(size=(7, 7)) + 3) * SCALES
    rows[:, 5:] = np.float32(0.1), np.float32(1 / 3)
    return rows


def by_two_passes(rows):
    mean = np.array([np.longdouble(0) + column.astype(np.longdouble).sum() / len(rows) for column in rows.T])
    centred = rows.astype(np.longdouble) - mean
    return mean, centred.T @ centred


def assert_same(found, expected, tolerance=1e-12):
    spread = np.sqrt(np.diag(expected.m2))
    spread[spread == 0] = 1
    assert found.count == expected.count
    np.testing.assert_allclose(found.mean, expected.mean, rtol=tolerance)
    np.testing.assert_allclose(found.m2 / spread / spread[:, None], expected.m2 / spread / spread[:, None], atol=tolerance)


def merged_as_a_tree(parts, draw):
    parts = list(parts)
    while len(parts) > 1:
        first = parts.pop(draw(st.integers(0, len(parts) - 1)))
        second = parts.pop(draw(st.integers(0, len(parts) - 1)))
        parts.append(first.merge(second))
    return parts[0]


@pytest.mark.parametrize("count", [1, 2, 100, BLOCK_ROWS + 1])
def test_moments_are_those_of_two_passes_in_extended_precision(count):
    rows = sample(count)
    mean, m2 = by_two_passes(rows)
    assert_same(Moments.of(rows), Moments(count, mean.astype(float), m2.astype(float)))


def test_moments_agree_with_numpys_covariance():
    rows = sample(50)[:, :5]
    moments = Moments.of(rows)
    spread = rows.std(axis=0, ddof=1)
    np.testing.assert_allclose(moments.m2 / 49 / spread / spread[:, None], np.corrcoef(rows.T), atol=1e-12)
    np.testing.assert_allclose(moments.variances, rows.var(axis=0, ddof=1), rtol=1e-12)


@settings(derandomize=True, deadline=None)
@given(data=st.data(), count=st.integers(2, 60), seed=st.integers(0, 1000))
def test_any_split_order_and_merge_tree_gives_the_same_moments(data, count, seed):
    rows = sample(count, seed)
    shuffled = rows[np.random.default_rng(seed).permutation(count)]
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=6)))
    parts = [Moments.of(part) for part in np.split(shuffled, cuts)]
    assert_same(merged_as_a_tree(parts, data.draw), Moments.of(rows))


@settings(derandomize=True, deadline=None)
@given(data=st.data(), value=st.floats(-(2.0**127), 2.0**127, width=32), count=st.integers(1, 40))
def test_a_constant_column_has_exactly_no_second_moment_however_it_is_split(data, value, count):
    rows = np.column_stack([np.full(count, value, np.float32), np.arange(count, dtype=np.float32)])
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=6)))
    moments = merged_as_a_tree([Moments.of(part) for part in np.split(rows, cuts)], data.draw)
    assert moments.mean[0] == np.float32(value)
    assert not moments.m2[0].any()
    assert not moments.m2[:, 0].any()


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 1000), removed=st.integers(1, 30))
def test_adding_rows_and_taking_them_out_returns_to_the_start(seed, removed):
    before = Moments.of(sample(40, seed))
    extra = Moments.of(sample(removed, seed + 5000))
    after = before.merge(extra).subtract(extra)
    assert_same(after, before)
    assert not after.m2[5:].any(), "a constant column stays exactly constant"


def test_taking_rows_out_gives_the_moments_of_the_rest():
    rows = sample(100)
    assert_same(Moments.of(rows).subtract(Moments.of(rows[90:])), Moments.of(rows[:90]))


def test_taking_all_rows_out_leaves_the_moments_of_none():
    moments = Moments.of(sample(5))
    assert moments.subtract(moments).count == 0
    assert not moments.subtract(moments).m2.any()


def test_taking_out_more_rows_than_there_are_is_refused():
    with pytest.raises(ValueError, match="cannot take 3 rows from 2"):
        Moments.of(sample(2)).subtract(Moments.of(sample(3)))


def test_cancellation_is_small_where_digits_are_kept():
    rows = sample(100)
    before = Moments.of(rows)
    assert 1 <= before.cancellation(before.subtract(Moments.of(rows[95:]))) < 2


def test_cancellation_is_large_where_one_row_held_most_of_a_column():
    rows = sample(100)
    rows[0, 2] = 1e9
    before = Moments.of(rows)
    assert before.cancellation(before.subtract(Moments.of(rows[:1]))) > 1e12


def test_cancellation_is_infinite_or_huge_where_a_column_becomes_constant():
    rows = np.zeros((10, 2))
    rows[:, 0] = np.arange(10)
    rows[3, 1] = 0.7
    before = Moments.of(rows)
    assert before.cancellation(before.subtract(Moments.of(rows[3:4]))) > 1e12


@pytest.mark.parametrize("left", [0.0, -1e-9])
def test_cancellation_is_infinite_where_nothing_or_less_is_left_of_a_column(left):
    before, after = Moments(10, np.zeros(2), np.diag([4.0, 2.0])), Moments(9, np.zeros(2), np.diag([4.0, left]))
    with np.errstate(all="raise"):
        assert before.cancellation(after) == np.inf


def test_cancellation_is_infinite_where_no_rows_are_left():
    assert Moments.of(sample(3)).cancellation(Moments.zero(7)) == np.inf
    assert Moments(3, np.zeros(2), np.zeros((2, 2))).cancellation(Moments.zero(2)) == np.inf


def test_cancellation_is_the_largest_ratio_of_rows_or_of_a_column_that_varied():
    before = Moments(10, np.zeros(3), np.diag([4.0, 6.0, 0.0]))
    assert before.cancellation(Moments(8, np.zeros(3), np.diag([2.0, 1.5, 0.0]))) == 6 / 1.5
    assert before.cancellation(Moments(2, np.zeros(3), np.diag([4.0, 5.0, 0.0]))) == 10 / 2
    constant = np.zeros((3, 3))
    assert Moments(10, np.zeros(3), constant).cancellation(Moments(4, np.zeros(3), constant)) == 10 / 4


def test_no_rows_change_nothing_and_come_from_an_empty_array():
    moments = Moments.of(sample(5))
    nothing = Moments.of(np.empty((0, 7), np.float32))
    assert nothing.count == 0
    assert moments.merge(nothing) is moments
    assert nothing.merge(moments) is moments
    assert moments.subtract(nothing) is moments


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_refused_and_named(bad):
    rows = sample(BLOCK_ROWS + 10)
    rows[BLOCK_ROWS + 2, 1] = bad
    with pytest.raises(ValueError, match=f"1 of 10 rows hold a NaN or an infinity, row {BLOCK_ROWS + 2} first"):
        Moments.of(rows)


def test_the_second_moment_is_exactly_symmetric_and_the_rows_are_left_alone():
    rows = sample(300)
    kept = rows.copy()
    moments = Moments.of(rows[:100]).merge(Moments.of(rows[100:]))
    np.testing.assert_array_equal(moments.m2, moments.m2.T)
    np.testing.assert_array_equal(rows, kept)


def test_float32_rows_are_summed_in_float64():
    rows = (np.random.default_rng(1).normal(size=(5000, 3)) + 1000).astype(np.float32)
    mean, m2 = by_two_passes(rows)
    assert_same(Moments.of(rows), Moments(5000, mean.astype(float), m2.astype(float)))


def test_bytes_bring_back_the_same_bits():
    moments = Moments.of(sample(20))
    back = Moments.from_bytes(moments.to_bytes())
    assert back.count == 20
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_array_equal(back.m2, moments.m2)


def test_stored_arrays_bring_no_pickled_objects():
    file = io.BytesIO()
    np.savez(file, count=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        un_npz(file.getvalue())


@settings(derandomize=True, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000), count=st.integers(3, 60))
def test_whichever_rows_are_taken_out_the_rest_is_left(data, seed, count):
    rows = sample(count, seed)
    gone = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=max(1, count // 10)))
    before, rest = Moments.of(rows), Moments.of(np.delete(rows, list(gone), axis=0))
    after = before.subtract(Moments.of(rows[list(gone)]))
    # Before it is used, the refit asks how much rounding grew, and reads all rows where it grew more than this.
    assume(before.cancellation(after) <= MOST_CANCELLATION)
    assert_same(after, rest)


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 30), times=st.integers(2, 5))
def test_rows_that_come_several_times_count_several_times(seed, count, times):
    once = Moments.of(sample(count, seed))
    many = Moments.of(np.repeat(sample(count, seed), times, axis=0))
    assert_same(many, Moments(count * times, once.mean, once.m2 * times))
    assert not many.m2[5:].any(), "a constant column stays exactly constant"


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 1000), exponents=st.lists(st.integers(-8, 8), min_size=7, max_size=7))
def test_the_scale_of_a_column_changes_nothing_but_its_scale(seed, exponents):
    plain = np.random.default_rng(seed).normal(size=(40, 7)) + 3
    factors = 2.0 ** np.round(np.array(exponents) * np.log2(10))  # powers of two, so that scaling itself rounds nothing
    scaled, expected = Moments.of(plain * factors), Moments.of(plain)
    np.testing.assert_array_equal(scaled.mean, expected.mean * factors)
    np.testing.assert_allclose(scaled.m2, expected.m2 * factors * factors[:, None], rtol=1e-12)
