"""The classifier in closed form, against scikit-learn and against fits that never saw a row."""

import json
from contextlib import suppress

import numpy as np
import pytest
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fruitpipe.classifier import calibration, classifier, discriminant
from fruitpipe.classifier.calibration import Calibration
from fruitpipe.classifier.classifier import Classifier
from fruitpipe.classifier.leave_one_out import leave_one_out
from fruitpipe.errors import NotEnoughRows
from fruitpipe.reduction.moments import npz, un_npz
from fruitpipe.reduction.summary import Summary

DIMENSIONS = 24


def rows_of(counts, seed=0, dimensions=DIMENSIONS):
    """Rows around a centre for each label, correlated, and their labels."""
    rng = np.random.default_rng(seed)
    mixing, centres = rng.normal(size=(dimensions, dimensions)), 2 * rng.normal(size=(len(counts), dimensions))
    labels = np.repeat([f"label {number:02}" for number in range(len(counts))], counts)
    rows = np.repeat(centres, counts, axis=0) @ mixing + rng.normal(size=(sum(counts), dimensions)) @ mixing
    shuffled = rng.permutation(len(labels))
    return rows[shuffled].astype(np.float32), labels[shuffled].astype(object)


def summary_of(rows, labels):
    return Summary.of(rows, labels, np.array([f"file:///{number}.jpg" for number in range(len(rows))], object))


def fitted(rows, labels):
    return discriminant.fit(summary_of(rows, labels))


@pytest.mark.parametrize(("dimensions", "counts"), [(2, [7] * 30), (3, [20] * 100), (64, [7] * 30)])
def test_copies_of_one_image_a_label_are_no_scatter_but_rounding(dimensions, counts):
    """Of sums over many rows more rounding is left than of a few, and it has negative squares, too."""
    for seed in range(10):
        centres = np.random.default_rng(seed).normal(size=(len(counts), dimensions)).astype(np.float32)
        labels = np.repeat([f"label {number:03}" for number in range(len(counts))], counts).astype(object)
        with pytest.raises(NotEnoughRows, match="no two of one label that differ"):
            fitted(np.repeat(centres, counts, axis=0), labels)


def test_where_an_erasure_leaves_little_but_rounding_a_classifier_is_refused_or_finite():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rows, labels = rng.normal(size=(60, 3)).astype(np.float32), np.repeat(["a", "b", "c"], 20).astype(object)
        left = np.arange(60) % 20 < 2
        rows[1::20] = rows[::20]
        with suppress(NotEnoughRows):
            model = discriminant.fit(summary_of(rows, labels).subtract(summary_of(rows[~left], labels[~left])))
            assert np.isfinite(model.whitening).all()


def scores_of(model, rows, *, equal_priors=False):
    """Log posteriors of a classifier that was not calibrated."""
    return np.log(Classifier(model, Calibration()).predict_proba(rows, equal_priors=equal_priors))


def test_posteriors_are_those_of_scikit_learn_with_the_same_shrinkage():
    rows, labels = rows_of([9, 14, 30, 5])
    model, (others, _) = fitted(rows, labels), rows_of([6, 6, 6, 6], seed=0)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=model.shrinkage).fit(rows.astype(float), labels)
    # It divides the scatter by all rows, and not by those that are free: its squares are larger by as much.
    larger = len(rows) / (len(rows) - 4)
    odds = oracle.decision_function(others.astype(float)) - np.log(oracle.priors_)
    expected = odds / larger + np.log(oracle.priors_)
    expected -= np.logaddexp.reduce(expected, axis=1)[:, np.newaxis]
    np.testing.assert_allclose(scores_of(model, others), expected, rtol=1e-6, atol=1e-6)
    assert list(model.labels) == oracle.classes_.tolist()


def test_equal_priors_are_those_of_scikit_learn():
    rows, labels = rows_of([9, 14, 30, 5])
    model = fitted(rows, labels)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=model.shrinkage, priors=[0.25] * 4).fit(
        rows.astype(float), labels
    )
    named = Classifier(model, Calibration()).predict(rows, equal_priors=True)
    assert np.mean(np.array(named) == oracle.predict(rows.astype(float))) > 0.98  # its covariance weighs labels alike, too


def test_the_shrinkage_is_that_of_scikit_learn_for_as_many_free_rows():
    rows, labels = rows_of([9, 14, 30, 5])
    means = {label: rows[labels == label].astype(float).mean(axis=0) for label in set(labels)}
    residuals = rows - np.array([means[label] for label in labels])
    free = len(rows) - 4
    _, sizes, directions = np.linalg.svd(residuals, full_matrices=False)
    as_many = np.vstack([sizes[:, np.newaxis] * directions, np.zeros((free - DIMENSIONS, DIMENSIONS))])
    model = fitted(rows, labels)
    assert model.shrinkage == pytest.approx(OAS(assume_centered=True).fit(as_many).shrinkage_, rel=1e-9)
    covariance = OAS(assume_centered=True).fit(as_many).covariance_
    np.testing.assert_allclose(model.whitening @ model.whitening.T, np.linalg.inv(covariance), rtol=1e-7, atol=1e-9)


def test_leaving_a_row_out_in_closed_form_is_fitting_without_it():
    rows, labels = rows_of([4, 7, 2, 12, 1])
    model = fitted(rows, labels)
    numbers = np.searchsorted(model.labels, labels.astype(str))
    chosen = np.flatnonzero(model.counts[numbers] > 1)
    found = leave_one_out(model, rows[chosen], numbers[chosen])
    within = np.linalg.inv(model.whitening @ model.whitening.T)
    identity = within - model.scatter_weight * within_scatter(rows, labels)
    for place, left_out in enumerate(chosen):
        kept = np.arange(len(rows)) != left_out
        inverse = np.linalg.inv(identity + model.scatter_weight * within_scatter(rows[kept], labels[kept]))
        exact = rows.astype(float)
        away = [exact[left_out] - exact[kept & (labels == label)].mean(axis=0) for label in model.labels]
        distances = np.array([one @ inverse @ one for one in away])
        from_mean = exact[left_out] - exact[kept].mean(axis=0)
        counts = np.array([(labels[kept] == label).sum() for label in model.labels])
        np.testing.assert_allclose(found.scores[place], np.log(counts / kept.sum()) - distances / 2, rtol=1e-5)
        assert found.novelty[place] == pytest.approx(distances.min() / (from_mean @ inverse @ from_mean), rel=1e-6)


def within_scatter(rows, labels):
    parts = [rows[labels == label].astype(float) for label in set(labels)]
    return sum((part - part.mean(axis=0)).T @ (part - part.mean(axis=0)) for part in parts)


def test_blocks_of_labels_and_of_rows_change_nothing(monkeypatch):
    rows, labels = rows_of([4, 7, 2, 12, 3])
    whole = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    monkeypatch.setattr(discriminant, "BLOCK_LABELS", 2)
    monkeypatch.setattr(discriminant, "BLOCK_CELLS", 10)
    parts = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    np.testing.assert_allclose(parts.predict_proba(rows), whole.predict_proba(rows), rtol=1e-9, atol=1e-12)
    assert parts.calibration.most_novel == pytest.approx(whole.calibration.most_novel, rel=1e-9)


def test_a_classifier_after_an_erasure_is_one_that_never_had_the_image():
    rows, labels = rows_of([9, 14, 30, 5])
    whole, erased = summary_of(rows, labels), np.arange(len(rows)) == 7
    after = whole.subtract(summary_of(rows[erased], labels[erased]))
    never = summary_of(rows[~erased], labels[~erased])
    first, second = (classifier.fit(one, lambda: (rows[~erased], labels[~erased])) for one in (after, never))
    for name, array in first.arrays().items():
        if name != "labels":
            np.testing.assert_allclose(array, second.arrays()[name], rtol=1e-8, atol=1e-8)
    assert first.labels == second.labels


def test_a_label_whose_only_image_is_erased_is_not_named_again():
    rows, labels = rows_of([9, 14, 1])
    only = labels == "label 02"
    left = summary_of(rows, labels).subtract(summary_of(rows[only], labels[only]))
    assert classifier.fit(left, lambda: (rows[~only], labels[~only])).labels == ("label 00", "label 01")


def test_a_label_with_one_image_is_named_and_not_measured_on():
    rows, labels = rows_of([9, 14, 1])
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    assert model.predict(rows[labels == "label 02"]) == ["label 02"]
    assert model.calibration.rows == 23


def test_constant_columns_add_nothing():
    rows, labels = rows_of([9, 14, 30])
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    wider = np.insert(rows, [0, 5], 3.0, axis=1)
    with_constants = classifier.fit(summary_of(wider, labels), lambda: (wider, labels))
    other = wider + np.where(np.ptp(wider, axis=0) == 0, 100, 0).astype(np.float32)
    np.testing.assert_allclose(with_constants.predict_proba(other), model.predict_proba(rows), rtol=1e-6, atol=1e-9)


def test_a_column_that_is_constant_within_each_label_is_used():
    rows, labels = rows_of([9, 14, 30])
    telling = np.where(labels == "label 01", 50, 0).astype(np.float32)[:, np.newaxis]
    model = classifier.fit(summary_of(np.hstack([rows, telling]), labels), lambda: (np.hstack([rows, telling]), labels))
    moved = np.hstack([rows, np.full_like(telling, 50)])
    assert set(model.predict(moved)) == {"label 01"}


def test_two_labels_in_one_column_are_told_apart():
    rows = np.array([[0.0], [1.0], [0.5], [10.0], [11.0]], np.float32)
    labels = np.array(["a", "a", "a", "b", "b"], object)
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    answers = model.identify(np.array([[0.2], [10.4]], np.float32))
    assert [(one.label, one.runner_up) for one in answers] == [("a", "b"), ("b", "a")]
    assert all(one.probability + one.runner_up_probability == pytest.approx(1) for one in answers)


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ([[1, 2], [3, 4]], ["a", "a"], "1 label: a classifier needs at least 2"),
        ([[1, 2], [3, 4]], ["a", "b"], "2 images of 2 labels, no two of one label that differ"),
        ([[1, 2], [1, 2], [3, 4], [3, 4]], ["a", "a", "b", "b"], "4 images of 2 labels, no two of one label that differ"),
    ],
)
def test_too_little_to_learn_from_is_told_in_a_line(rows, labels, message):
    with pytest.raises(NotEnoughRows, match=message):
        fitted(np.array(rows, np.float32), np.array(labels, object))


def test_without_rows_to_measure_on_nothing_is_claimed():
    rows, labels = rows_of([9, 14])
    model = classifier.fit(summary_of(rows, labels), lambda: (rows[:0], labels[:0]))
    assert model.calibration == Calibration(1.0, 1.0, 0, None, None, None, None)


def test_an_image_that_is_the_mean_of_all_leaves_the_bound_a_number():
    rows = np.array([[-3.0], [-2.0], [0.0], [2.0], [3.0]], np.float32)
    labels = np.array(["a", "a", "a", "b", "b"], object)
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    assert np.isfinite(model.calibration.most_novel)
    assert model.identify(rows[2:3])[0].novelty == 1


def test_what_is_stored_reads_back_as_the_same_classifier():
    rows, labels = rows_of([9, 14, 30])
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    again = Classifier.from_arrays(un_npz(npz(model.arrays())), json.loads(json.dumps(model.facts())))
    assert again.identify(rows) == model.identify(rows)
    assert again.calibration == model.calibration


def test_probabilities_are_sure_as_often_as_they_are_right():
    rows, labels = rows_of([40] * 6, seed=2, dimensions=200)
    rows += 120 * np.random.default_rng(3).normal(size=rows.shape).astype(np.float32)  # so that some are mistaken
    train = np.arange(len(rows)) % 2 == 0
    model = classifier.fit(summary_of(rows[train], labels[train]), lambda: (rows[train], labels[train]))
    answers = model.identify(rows[~train])
    right = np.array([one.label for one in answers]) == labels[~train]
    assert 0.5 < right.mean() < 0.98
    assert np.mean([one.probability for one in answers]) == pytest.approx(right.mean(), abs=0.06)
    assert model.calibration.temperature > 1


def test_the_bound_keeps_ninety_five_of_a_hundred():
    rows, labels = rows_of([60] * 5)
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    assert 0.95 <= model.calibration.known < 0.96
    others, others_labels = rows_of([200] * 5)
    known = [one.is_known for one in model.identify(others)]
    assert 0.9 < np.mean(known) < 0.99
    strangers = np.random.default_rng(9).normal(size=(500, DIMENSIONS)).astype(np.float32) * rows.std()
    assert np.mean(model.novelty(strangers) > model.calibration.most_novel) > 0.9
    assert len(others_labels) == len(known)


def test_the_calibration_error_is_that_of_a_table_by_hand():
    sure, right = np.array([0.95, 0.97, 0.55, 0.57, 1.0]), np.array([True, False, True, True, True])
    # Bins of a fifteenth: {0.95, 0.97, 1.0} of which 2 / 3 are right, {0.55, 0.57} of which all are.
    expected = (abs(0.95 + 0.97 + 1.0 - 2) + abs(0.55 + 0.57 - 2)) / 5
    assert calibration.calibration_error(sure, right) == pytest.approx(expected)


def test_features_of_another_length_are_refused():
    rows, labels = rows_of([9, 14])
    model = classifier.fit(summary_of(rows, labels), lambda: (rows, labels))
    with pytest.raises(ValueError, match=r"features have the shape \(2, 23\); \(n, 24\) is expected"):
        model.identify(rows[:2, :23])


def test_many_labels_are_measured_on_few_rows(monkeypatch):
    rows, labels = rows_of([3] * 40)
    monkeypatch.setattr(calibration, "MOST_CELLS", 40 * 10)
    monkeypatch.setattr(calibration, "FEWEST_ROWS", 7)
    assert classifier.fit(summary_of(rows, labels), lambda: (rows, labels)).calibration.rows == 10
