"""Arrow batches of vectors to summaries and reduced vectors, as the Python workers do it."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from fruitpipe.errors import InvalidResult
from fruitpipe.reduction.moments import Moments
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary, _LabelSums
from fruitpipe.refit.on_spark import _levels, matrix, merge_batches, project_batches, summarise_batches, vectors_of

ROWS = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
LABELS = ["Kiwi", "Apple", "Kiwi", "Lemon", "Apple"] * 4
PATHS = [f"file:///{number:02}.jpg" for number in range(20)]


def batch(rows=ROWS, start=0, stop=20):
    columns = [pa.array(PATHS[start:stop]), pa.array(LABELS[start:stop]), vectors_of(rows[start:stop])]
    return pa.RecordBatch.from_arrays(columns, ["path", "label", "features"])


def summary_of(*batches):
    (row,) = summarise_batches(batches, 5)
    return Summary.from_bytes(row.column(0)[0].as_py())


def test_a_matrix_of_lists_is_read_without_the_rows_before_a_slice():
    np.testing.assert_array_equal(matrix(vectors_of(ROWS).slice(3, 4), 5), ROWS[3:7])


def test_a_null_in_a_list_is_a_number_that_is_missing():
    assert np.isnan(matrix(pa.array([[1.0, None]], pa.list_(pa.float32())), 2)[0, 1])


def test_a_vector_of_another_length_is_refused_with_both_lengths():
    with pytest.raises(InvalidResult, match="5 numbers expected in each vector, 4 found in 2"):
        matrix(pa.array([[0.0] * 5, [0.0] * 4, [0.0] * 4], pa.list_(pa.float32())), 5)


def test_lists_of_a_matrix_have_its_rows():
    assert vectors_of(ROWS).to_pylist() == ROWS.tolist()
    assert len(vectors_of(ROWS[:0])) == 0


def test_batches_are_summed_up_as_one():
    summary = summary_of(batch(stop=7), batch(start=7))
    np.testing.assert_allclose(summary.moments.m2, Moments.of(ROWS).m2, atol=1e-12)
    assert summary.labels == ("Apple", "Kiwi", "Lemon")
    assert summary.label_counts.tolist() == [8, 8, 4]
    expected = [ROWS[[label == name for label in LABELS]].astype(np.float64).mean(axis=0) for name in summary.labels]
    np.testing.assert_allclose(summary.label_means, expected, atol=1e-12)


def test_a_partition_without_rows_gives_no_summary():
    assert list(summarise_batches([], 5)) == []
    assert list(merge_batches([])) == []


def test_summaries_merge_to_that_of_all_rows():
    partials = [row for part in (batch(stop=7), batch(start=7)) for row in summarise_batches([part], 5)]
    (row,) = merge_batches(partials)
    merged = Summary.from_bytes(row.column(0)[0].as_py())
    np.testing.assert_allclose(merged.moments.m2, Moments.of(ROWS).m2, atol=1e-12)
    assert merged.label_counts.tolist() == [8, 8, 4]


def test_vectors_are_as_long_as_the_first_where_no_length_is_said():
    (row,) = summarise_batches([batch(stop=7), batch(start=7)])
    np.testing.assert_array_equal(
        Summary.from_bytes(row.column(0)[0].as_py()).moments.m2, summary_of(batch(stop=7), batch(start=7)).moments.m2
    )
    with pytest.raises(InvalidResult, match="vectors of 5 and of 4 numbers found together"):
        list(summarise_batches([batch(), batch(ROWS[:, :4])]))


def test_partitions_with_vectors_of_two_lengths_are_never_summed_up_together():
    partials = [row for rows in (ROWS, ROWS[:, :4]) for row in summarise_batches([batch(rows)])]
    with pytest.raises(InvalidResult, match="vectors of 5 and of 4 numbers found together"):
        list(merge_batches(partials))


def test_taking_a_summary_out_leaves_that_of_the_other_rows():
    lemons_gone = summary_of(batch()).subtract(summary_of(batch(start=3, stop=4), batch(start=8, stop=9)))
    assert lemons_gone.moments.count == 18
    assert dict(zip(lemons_gone.labels, lemons_gone.label_counts.tolist(), strict=True)) == {"Apple": 8, "Kiwi": 8, "Lemon": 2}
    without = summary_of(batch()).subtract(summary_of(batch(start=3)))
    assert without.labels == ("Apple", "Kiwi")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_set_aside_and_named(bad):
    rows = ROWS.copy()
    rows[[4, 9], 2] = bad
    summary = summary_of(batch(rows))
    assert summary.set_aside == 2
    assert summary.examples == (PATHS[4], PATHS[9])
    assert summary.count == 20
    np.testing.assert_allclose(summary.moments.m2, Moments.of(np.delete(rows, [4, 9], axis=0)).m2, atol=1e-12)
    reduction = fit(summary.moments, components=2)
    (reduced,) = project_batches([batch(rows)], reduction)
    assert reduced.num_rows == 18
    assert PATHS[4] not in reduced["path"].to_pylist()
    assert np.isfinite(matrix(reduced["pca_features"], 2)).all()


def test_projection_keeps_paths_labels_and_vectors_together():
    reduction = fit(Moments.of(ROWS), components=2)
    (reduced,) = project_batches([batch(start=5, stop=9)], reduction)
    assert reduced["path"].to_pylist() == PATHS[5:9]
    assert reduced["label"].to_pylist() == LABELS[5:9]
    np.testing.assert_array_equal(matrix(reduced["pca_features"], 2), reduction.transform(ROWS[5:9]))


@pytest.mark.parametrize(
    ("summaries", "levels"), [(0, []), (1, []), (4, []), (5, [1]), (16, [2]), (100, [13, 2]), (1000, [125, 16, 2])]
)
def test_the_driver_gets_few_summaries_however_many_there_are(summaries, levels):
    assert list(_levels(summaries)) == levels


def test_sums_of_many_labels_are_added_up_in_place_and_not_copied_for_each_part():
    """As where each folder holds one image: the parts are small, and what they add up to is large."""
    names = [np.array([f"visit-{first + number:05}" for number in range(10)], object) for first in range(0, 2000, 10)]
    parts = [Summary.of(np.ones((10, 64), np.float32), some, some) for some in names]
    held = Summary.total(parts, 64).label_sums.nbytes
    labels, growth = _LabelSums(64), []
    for part in parts:
        tracemalloc.start()
        labels.add(part)
        growth.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(growth) < held / 4  # its own ten rows, and a larger dictionary now and then
    np.testing.assert_array_equal(labels.by_name()[2], np.ones((2000, 64)))


@pytest.mark.parametrize("labels", [["b", "a", "b", "c"], ["a"], []])
def test_a_total_is_what_merging_one_after_the_other_gives_and_subtracting_takes_a_part_out_again(labels):
    rng = np.random.default_rng(0)
    rows = [rng.integers(-100, 100, (3, 4)).astype(np.float32) for _ in labels]
    parts = [
        Summary.of(some, np.array([label] * 3, object), np.array(["p"] * 3, object))
        for some, label in zip(rows, labels, strict=True)
    ]
    total = Summary.total(parts, 4)
    assert total.labels == tuple(sorted(set(labels)))
    for place, label in enumerate(total.labels):
        own = np.concatenate([some for some, name in zip(rows, labels, strict=True) if name == label])
        assert total.label_counts[place] == len(own)
        np.testing.assert_array_equal(total.label_sums[place], own.sum(axis=0, dtype=np.float64))
    if parts:
        rest = total.subtract(parts[0])
        others = Summary.total(parts[1:], 4)
        assert rest.labels == others.labels
        np.testing.assert_array_equal(rest.label_counts, others.label_counts)
        np.testing.assert_array_equal(rest.label_sums, others.label_sums)
