"""What a version says of its predecessor."""

import tracemalloc

import numpy as np
import pytest

from fruitpipe.reduction import drift
from fruitpipe.reduction.nearest import nearest_other
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary

CENTRES = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [9, 9, 0, 0]])


def summary(centres, labels=("Apple", "Kiwi", "Lemon")):
    rows = np.concatenate([centre + np.random.default_rng(0).normal(size=(30, 4)) * 0.1 for centre in centres]).astype(np.float32)
    names = np.repeat(np.array(labels, object), 30)
    return Summary.of(rows, names, names)


def compare(before, after):
    reductions = [fit(rows.moments, components=2) for rows in (before, after)]
    return drift.compare(reductions[0], before, reductions[1], after)


def test_the_same_rows_turn_nothing():
    turned = compare(summary(CENTRES), summary(CENTRES))
    assert turned["largest_angle_degrees"] == pytest.approx(0, abs=1e-9)
    assert turned["label_moves"] == {"Apple": 0, "Kiwi": 0, "Lemon": 0}
    assert turned["neighbours_changed"] == 0


def test_a_label_that_moves_is_named_with_its_distance_in_standard_deviations():
    moved = CENTRES.copy()
    moved[1] = [9, 8, 0, 0]
    before, after = summary(CENTRES), summary(moved)
    turned = compare(before, after)
    step = (after.label_means[1] - before.label_means[1]) / np.sqrt(after.moments.variances)
    assert turned["label_moves"]["Kiwi"] == pytest.approx(np.sqrt((step**2).mean()))
    assert turned["label_moves"]["Apple"] == pytest.approx(0, abs=1e-9)
    assert turned["neighbours_changed"] == pytest.approx(1 / 3), "Kiwi left Apple for Lemon; the others stay nearest to Kiwi"


def test_only_labels_that_both_know_are_compared():
    turned = compare(summary(CENTRES), summary(CENTRES, labels=("Apple", "Lemon", "Mango")))
    assert set(turned["label_moves"]) == {"Apple", "Lemon"}
    turned = compare(summary(CENTRES), summary(CENTRES, labels=("A", "B", "C")))
    assert turned["label_moves"] == {}
    assert turned["neighbours_changed"] == 0


def test_the_nearest_labels_of_thousands_are_found_without_a_table_of_each_with_each():
    points = np.random.default_rng(0).normal(size=(1500, 3)).astype(np.float32)
    tracemalloc.start()
    nearest = nearest_other(points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(points) ** 2
    others = [np.linalg.norm(points - point, axis=1) for point in points]
    for number, distances in enumerate(others):
        distances[number] = np.inf
    np.testing.assert_array_equal(nearest, np.argmin(others, axis=1))
