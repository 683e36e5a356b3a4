"""What the classifier would say of rows of its own fit had it been fitted without each of them, in closed form.

Leaving out a row takes a rank-one matrix from the scatter within labels, moves its label's mean and the mean of all; the inverse
follows by Sherman and Morrison's formula (as in Friedman, "Regularized Discriminant Analysis", 1989). The shrinkage stays as it
is: both of its weights, that of the scatter and that of the identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fruitpipe.classifier import discriminant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fruitpipe.classifier.discriminant import Discriminant
    from fruitpipe.reduction.moments import Floats


class LeftOut(NamedTuple):
    """Of n rows, each by the classifier without it.

    labels: (n,) the numbers of their own labels. scores: (n, labels) float64, as `Discriminant`'s. novelty: (n,).
    """

    labels: NDArray[np.intp]
    scores: Floats
    novelty: Floats


def leave_one_out(fitted: Discriminant, features: NDArray[np.float32], labels: NDArray[np.intp]) -> LeftOut:
    """The scores and the novelty of (n, d) rows of the fit, whose labels (n,) have two rows at least.

    Costs 4 n · labels · q multiplications, and 8 n · labels bytes.
    """
    scores, novelty = np.empty((len(features), len(fitted.labels))), np.empty(len(features))
    step = fitted.block_rows
    for start in range(0, len(features), step):
        block = slice(start, start + step)
        distances, from_mean = _distances(fitted, fitted.whitened(features[block]), labels[block])
        novelty[block] = discriminant.novelty(distances, from_mean)
        scores[block] = _log_priors(fitted, labels[block]) - distances / 2
    return LeftOut(labels, scores, novelty)


def _distances(fitted: Discriminant, points: Floats, own: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """The squared distances of (n, q) points to the centres, (n, labels), and to the mean, (n,), each without the point."""
    centres, counts, rows = fitted.centres, fitted.counts[own], np.arange(len(points))
    residuals = points - centres[own]
    squares, along = (residuals**2).sum(axis=1), (points * residuals).sum(axis=1)
    taken = fitted.scatter_weight * counts / (counts - 1)
    growth = taken / (1 - taken * squares)  # of the inverse, along the residual
    distances = fitted.squared_distances(points)
    distances += growth[:, np.newaxis] * (along[:, np.newaxis] - residuals @ centres.T) ** 2
    distances[rows, own] = (counts / (counts - 1)) ** 2 * squares / (1 - taken * squares)
    from_mean = (fitted.rows / (fitted.rows - 1)) ** 2 * ((points**2).sum(axis=1) + growth * along**2)
    return distances, from_mean


def _log_priors(fitted: Discriminant, own: NDArray[np.intp]) -> Floats:
    """(n, labels): of the labels' shares of the rows, each without one row of its own label."""
    counts = np.tile(fitted.counts.astype(np.float64), (len(own), 1))
    counts[np.arange(len(own)), own] -= 1
    logs: Floats = np.log(counts / (fitted.rows - 1))
    return logs
