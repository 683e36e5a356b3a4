"""The reduction is the eigendecomposition of the correlation matrix, with k and signs that do not depend on chance."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruitpipe.errors import NotEnoughRows, WrongUsage
from fruitpipe.reduction.moments import Moments
from fruitpipe.reduction.pca import Reduction, fit, principal_angles_degrees


def sample(count=60, columns=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 4)) @ rng.normal(size=(4, columns)) + 0.3 * rng.normal(size=(count, columns))).astype(
        np.float32
    )


def standardised(rows):
    rows = rows.astype(np.float64)
    spread = rows.std(axis=0, ddof=1)
    return (rows - rows.mean(axis=0)) / np.where(spread == 0, np.inf, spread)


def by_svd(rows):
    """Components and shares of variance by another way than ours."""
    _, sizes, components = np.linalg.svd(standardised(rows), full_matrices=False)
    return components, sizes**2 / (sizes**2).sum()


def fit_rows(rows, **wanted):
    return fit(Moments.of(rows), **wanted)


def test_components_and_shares_are_those_of_a_singular_value_decomposition():
    components, ratios = by_svd(sample())
    reduction = fit_rows(sample(), components=6)
    np.testing.assert_allclose(reduction.explained_variance_ratio, ratios, atol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(reduction.components * components[:6], axis=1)), 1, atol=1e-10)
    np.testing.assert_allclose(reduction.components @ reduction.components.T, np.eye(6), atol=1e-12)


def test_transform_projects_standardised_rows():
    rows = sample()
    reduction = fit_rows(rows, components=5)
    reduced = reduction.transform(rows)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(reduced, standardised(rows) @ reduction.components.T, atol=1e-5)


def test_each_of_many_rows_is_projected_as_it_is_alone():
    rows = sample(count=5000)
    reduction = fit_rows(rows, components=2)
    for place in (0, 2047, 2048, 4096, 4999):
        np.testing.assert_allclose(reduction.transform(rows)[place], reduction.transform(rows[place : place + 1])[0], atol=1e-6)


def test_transformed_columns_have_the_variances_that_the_reduction_states():
    rows = sample()
    reduction = fit_rows(rows, components=5)
    covariance = np.cov(reduction.transform(rows).astype(np.float64).T)
    np.testing.assert_allclose(covariance, np.diag(reduction.output_variances), atol=1e-5)


@pytest.mark.parametrize("variance", [0.01, 0.5, 0.9, 0.95, 0.99])
def test_k_is_the_fewest_components_that_keep_the_asked_variance(variance):
    reduction = fit_rows(sample(), variance=variance)
    totals = np.cumsum(by_svd(sample())[1])
    assert totals[reduction.k - 1] >= variance
    assert reduction.k == 1 or totals[reduction.k - 2] < variance
    assert reduction.variance_kept == pytest.approx(totals[reduction.k - 1])


def test_all_of_the_variance_takes_all_directions_and_no_more():
    assert fit_rows(sample(), variance=1.0).k == 12
    assert fit_rows(sample(count=5), variance=1.0).k == 4, "rows - 1"
    assert fit_rows(np.vstack([sample(count=5)] * 7), variance=1.0).k == 4, "repeated rows add no direction"
    rows = sample()
    rows[:, 3:5] = 7
    assert fit_rows(rows, variance=1.0).k == 10, "constant columns add no direction"


@pytest.mark.parametrize("components", [13, 1000])
def test_more_components_than_directions_are_refused_with_the_bound(components):
    with pytest.raises(
        WrongUsage, match=f"components {components}: 60 rows, which vary in 12 independent directions, allow 1 to 12"
    ):
        fit_rows(sample(), components=components)


@pytest.mark.parametrize("variance", [0, -0.1, 1.001, 2])
def test_a_share_that_is_none_is_refused(variance):
    with pytest.raises(WrongUsage) as refusal:
        fit_rows(sample(), variance=variance)
    assert str(refusal.value) == f"variance {variance}: give a share above 0 and up to 1"


@pytest.mark.parametrize(("variance", "k"), [(0.25, 1), (0.5, 2), (0.51, 3), (1.0, 4)])
def test_a_share_that_so_many_components_keep_exactly_takes_no_more(variance, k):
    """Four uncorrelated columns: each direction has a quarter."""
    assert fit(Moments(10, np.zeros(4), np.eye(4)), variance=variance).k == k


@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_columns_that_others_add_up_to_are_no_directions(rank, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, rank)) @ rng.normal(size=(rank, 12))
    with pytest.raises(WrongUsage, match=f"60 rows, which vary in {rank} independent directions, allow 1 to {rank};"):
        fit_rows(rows, components=rank + 1)


def test_two_rows_give_one_component():
    reduction = fit_rows(sample(count=2))
    assert reduction.k == 1
    np.testing.assert_allclose(np.abs(reduction.transform(sample(count=2))), np.sqrt(12 / 2), rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_are_refused(count):
    with pytest.raises(NotEnoughRows, match=f"{count} good rows; a reduction needs at least 2"):
        fit_rows(sample(count=count))


def test_equal_rows_are_refused():
    with pytest.raises(NotEnoughRows, match="all 12 good rows are equal"):
        fit_rows(np.full((12, 5), 0.1, np.float32))


def test_a_constant_column_adds_nothing_and_leaves_the_other_columns_alone():
    rows = sample()
    with_constant = np.insert(rows, 4, np.float32(0.1), axis=1)
    plain, reduction = fit_rows(rows), fit_rows(with_constant)
    assert reduction.constant_columns == 1
    assert reduction.scale[4] == 0
    np.testing.assert_allclose(reduction.explained_variance_ratio[:12], plain.explained_variance_ratio, atol=1e-12)
    np.testing.assert_allclose(reduction.transform(with_constant), plain.transform(rows), atol=1e-6)
    with_constant[:, 4] = 1e30
    np.testing.assert_allclose(reduction.transform(with_constant), plain.transform(rows), atol=1e-6)


@pytest.mark.parametrize("factor", [1e-9, 1e-30, 1e9, 1e30])
def test_a_small_or_large_column_counts_like_any_other(factor):
    rows = sample()
    scaled = rows.copy()
    scaled[:, 2] *= np.float32(factor)
    np.testing.assert_allclose(fit_rows(scaled).transform(scaled), fit_rows(rows).transform(rows), atol=1e-4)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(13, 80), cut=st.integers(1, 12))
def test_order_and_partitioning_change_neither_k_nor_signs_nor_values(seed, count, cut):
    rows = sample(count=count, seed=seed)
    shuffled = rows[np.random.default_rng(seed).permutation(count)]
    reduction = fit_rows(rows)
    again = fit(Moments.of(shuffled[cut:]).merge(Moments.of(shuffled[:cut])))
    assert again.k == reduction.k
    np.testing.assert_allclose(again.transform(rows), reduction.transform(rows), atol=1e-5)


def test_a_tie_between_loadings_does_not_leave_the_sign_to_rounding():
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(200, 2)) @ np.array([[1, 0.5], [0.5, 1]])
    signs = {
        tuple(np.sign(fit_rows(pairs[rng.permutation(200)], components=2).components).ravel().astype(int)) for _ in range(20)
    }
    assert signs == {(1, 1, 1, -1)}


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_loading_of_each_component_is_positive(seed):
    for component in fit_rows(sample(seed=seed), components=6).components:
        assert component[np.abs(component).argmax()] > 0


@pytest.mark.parametrize(("overlap", "sign"), [(-0.5, 1), (-0.51, -1)])
def test_a_component_at_60_degrees_or_more_from_all_previous_ones_follows_none(overlap, sign):
    uncorrelated = Moments(10, np.zeros(2), np.eye(2))
    plain = fit(uncorrelated, components=1)
    near = plain.components * overlap + plain.components[:, ::-1] * np.sqrt(1 - overlap**2)
    previous = Reduction(plain.mean, plain.scale, near, plain.explained_variance_ratio)
    np.testing.assert_array_equal(fit(uncorrelated, components=1, previous=previous).components, plain.components * sign)


def test_signs_follow_the_previous_reduction_when_a_row_is_added():
    rows = sample(count=61, seed=3)
    previous = fit_rows(rows[:60], components=4)
    turned = Reduction(previous.mean, previous.scale, -previous.components, previous.explained_variance_ratio)
    for before in (previous, turned):
        after = fit_rows(rows, components=4, previous=before)
        assert (np.sum(after.components * before.components, axis=1) > 0.9).all()


def test_signs_follow_the_component_that_resembles_most_even_if_the_order_changed():
    previous = fit_rows(sample(), components=4)
    swapped = Reduction(previous.mean, previous.scale, -previous.components[[1, 0, 2, 3]], previous.explained_variance_ratio)
    after = fit_rows(sample(), components=4, previous=swapped)
    np.testing.assert_allclose(after.components, -previous.components, atol=1e-10)


def test_the_variance_kept_of_the_own_rows_is_the_variance_kept():
    reduction = fit_rows(sample())
    assert reduction.variance_kept_of(Moments.of(sample())) == pytest.approx(reduction.variance_kept, abs=1e-12)


def test_the_variance_kept_of_other_rows_is_that_of_their_best_reconstruction():
    reduction, other = fit_rows(sample(), components=3), standardised(sample(seed=9) * 2)
    scale = sample(seed=9).std(axis=0, ddof=1) * 2
    basis = (reduction.components / reduction.scale * scale).T
    rebuilt = basis @ np.linalg.lstsq(basis, other.T, rcond=None)[0]
    lost = ((other.T - rebuilt) ** 2).sum() / (other**2).sum()
    assert reduction.variance_kept_of(Moments.of(sample(seed=9) * 2)) == pytest.approx(1 - lost, abs=1e-6)


def test_a_column_that_comes_alive_counts_as_lost():
    rows = sample()
    rows[:, 5] = 0
    reduction = fit_rows(rows, variance=1.0)
    assert reduction.variance_kept_of(Moments.of(sample())) < 1 - 0.5 / 12


def test_angles_between_subspaces_are_exact_when_small_and_when_large():
    first = np.eye(5)[:2]
    for degrees in (0, 1e-9, 1e-3, 44, 46, 89.999, 90):
        turn = np.radians(degrees)
        second = np.array([[np.cos(turn), 0, np.sin(turn), 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1]])
        found = principal_angles_degrees(first, second)
        assert found == pytest.approx([0, degrees], rel=1e-9, abs=1e-13)
        assert principal_angles_degrees(second, first) == pytest.approx(found)


def test_angles_near_ninety_degrees_are_as_exact_as_small_ones():
    turn = np.radians(1e-5)
    found = principal_angles_degrees(np.eye(3)[:1], np.array([[np.sin(turn), np.cos(turn), 0]]))
    assert 90 - found[0] == pytest.approx(1e-5, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_rounding_makes_no_angle_of_which_there_is_no_sine(seed):
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))
    turned = np.linalg.qr(np.random.default_rng(seed + 100).normal(size=(4, 4)))[0] @ basis[:4]
    with np.errstate(invalid="raise"):
        np.testing.assert_allclose(principal_angles_degrees(basis[:4], turned), 0, atol=1e-12)
        np.testing.assert_allclose(principal_angles_degrees(basis[:4], basis[4:]), 90, atol=1e-12)


def test_storing_brings_back_the_same_bits():
    reduction = fit_rows(sample())
    back = Reduction.from_arrays(reduction.arrays())
    np.testing.assert_array_equal(back.transform(sample()), reduction.transform(sample()))


def test_the_table_of_variances_has_a_line_a_component_and_ends_at_one():
    lines = list(csv.DictReader(io.StringIO(fit_rows(sample(count=5)).explained_variance_csv().decode())))
    assert [line["component"] for line in lines] == ["1", "2", "3", "4"]
    assert float(lines[-1]["cumulative"]) == pytest.approx(1)
    assert float(lines[0]["explained_variance_ratio"]) == pytest.approx(by_svd(sample(count=5))[1][0])


def test_the_table_of_variances_is_text_with_numbers_that_read_back_exactly():
    shares = np.array([0.75, 0.25, 0.0])
    reduction = Reduction(np.zeros(3), np.ones(3), np.eye(3)[:1], shares)
    assert reduction.explained_variance_csv() == b"component,explained_variance_ratio,cumulative\n1,0.75,0.75\n2,0.25,1.0\n"


@pytest.mark.parametrize("seed", range(20))
def test_no_more_than_all_of_the_variance_is_kept_whatever_is_rounded(seed):
    reduction = fit_rows(sample(seed=seed), components=12)
    assert 1 - 1e-12 < reduction.variance_kept <= 1
    assert 1 - 1e-12 < reduction.variance_kept_of(Moments.of(sample(seed=seed + 100))) <= 1


@pytest.mark.parametrize("shape", [(12,), (3, 11), (3, 13)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(n, 12\) is expected"):
        fit_rows(sample()).transform(np.zeros(shape))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 40), exponents=st.lists(st.integers(-8, 8), min_size=12, max_size=12))
def test_with_as_many_components_as_there_can_be_nothing_is_lost(seed, count, exponents):
    rows = sample(count=count, seed=seed) * 10.0 ** np.array(exponents)
    k = min(12, count - 1)
    reduction = fit_rows(rows, components=k)
    assert reduction.variance_kept == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(reduction.transform(rows) @ reduction.components, standardised(rows), atol=1e-4)
    with pytest.raises(WrongUsage, match=f"allow 1 to {k}"):
        fit_rows(rows, components=k + 1)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 40))
def test_one_component_is_the_direction_of_most_variance(seed, count):
    rows = sample(count=count, seed=seed)
    reduction = fit_rows(rows, components=1)
    assert reduction.transform(rows).shape == (count, 1)
    assert reduction.variance_kept == pytest.approx(by_svd(rows)[1][0])
    for direction in np.random.default_rng(seed).normal(size=(5, 12)):
        others = standardised(rows) @ direction / np.linalg.norm(direction)
        assert others.var(ddof=1) <= reduction.output_variances[0] * (1 + 1e-9)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(13, 40), times=st.integers(2, 4))
def test_rows_that_come_several_times_give_the_same_components(seed, count, times):
    rows = sample(count=count, seed=seed)
    once, many = fit_rows(rows, variance=1.0), fit_rows(np.repeat(rows, times, axis=0), variance=1.0)
    assert many.k == once.k
    np.testing.assert_allclose(many.explained_variance_ratio, once.explained_variance_ratio, atol=1e-12)
    np.testing.assert_allclose(many.components[:3], once.components[:3], atol=1e-6)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), place=st.integers(0, 12), value=st.floats(-1e8, 1e8, width=32))
def test_a_constant_column_of_any_value_in_any_place_changes_no_vector(seed, place, value):
    rows = sample(seed=seed)
    with_constant = np.insert(rows, place, np.float32(value), axis=1)
    np.testing.assert_allclose(
        fit_rows(with_constant, components=4).transform(with_constant), fit_rows(rows, components=4).transform(rows), atol=1e-5
    )
