"""Linear discriminant analysis from a summary: no pass over rows, whatever their number. NumPy only, float64.

The within-class scatter is W = T - B: the total scatter, which the moments hold, less what the means of the labels explain. It is
shrunk towards a multiple of the identity by the share of Chen, Wiesel, Eldar and Hero, "Shrinkage Algorithms for MMSE Covariance
Estimation" (2010): the covariance of least expected squared error, which needs the traces of W and W² and so no row, where
Ledoit and Wolf's needs fourth moments. Columns are not standardised first: one that is hardly ever other than 0 would count as
much as any other, and on Fruits-360 strangers were told apart worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.errors import NotEnoughRows
from fruitpipe.reduction.moments import Floats, check_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fruitpipe.reduction.summary import Summary

BLOCK_LABELS = 2048  # 21 MB in float64 at 1280 columns
BLOCK_CELLS = 2**22  # of (rows, labels) that are scored at a time: 34 MB in float64, of which a few are held
LEAST_LABELS = 2


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Labels as points in a space where rows scatter around their label alike in all directions.

    labels: sorted. counts: (labels,) int64, of their rows. mean: (d,) float64, of all rows. whitening: (d, q) float64, where q
    columns vary; constant ones add nothing. centres: (labels, q) float64. shrinkage: the identity's share of the covariance,
    above 0 and up to 1. scatter_weight: what the covariance has of a unit of scatter within labels.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    mean: Floats
    whitening: Floats
    centres: Floats
    shrinkage: float
    scatter_weight: float

    @property
    def rows(self) -> int:
        """The number of rows of the fit."""
        return int(self.counts.sum())

    @property
    def block_rows(self) -> int:
        """How many rows are scored at a time."""
        return max(1, BLOCK_CELLS // len(self.labels))

    def whitened(self, features: NDArray[Any]) -> Floats:
        """(n, d) features of any float type as points, (n, q) float64. Raises ValueError for other than d columns."""
        check_columns(features, len(self.mean))
        points: Floats = (features - self.mean) @ self.whitening
        return points

    def squared_distances(self, points: Floats) -> Floats:
        """The squared Mahalanobis distances, (n, labels), from (n, q) points to the labels' centres."""
        distances: Floats = -2 * points @ self.centres.T
        distances += np.einsum("ij,ij->i", points, points)[:, np.newaxis]
        distances += np.einsum("ij,ij->i", self.centres, self.centres)  # which holds no second copy of them
        return distances.clip(0, out=distances)


def novelty(distances: Floats, from_mean: Floats) -> Floats:
    """(n,): the least of (n, labels) squared distances by that from the mean of all rows, (n,); 1 for a point that is it."""
    nearest: Floats = distances.min(axis=1)
    shares: Floats = np.divide(nearest, from_mean, out=np.ones_like(nearest), where=from_mean > 0)
    return shares


def fit(summary: Summary) -> Discriminant:
    """The discriminant of the rows behind `summary`.

    Costs 3 d³ multiplications, 0.3 s at d = 1280, and 2 d² a label; 60 MB, and 8 d bytes a label. Raises NotEnoughRows where
    there is one label, or no label whose images differ.
    """
    moments, live = summary.moments, np.diag(summary.moments.m2) > 0
    freedom = moments.count - len(summary.labels)
    if len(summary.labels) < LEAST_LABELS:
        raise NotEnoughRows(f"{len(summary.labels)} label: a classifier needs at least {LEAST_LABELS}, a folder of images each")
    within = _within(summary)[np.ix_(live, live)]
    alike = NotEnoughRows(
        f"{moments.count} images of {len(summary.labels)} labels, no two of one label that differ: a classifier needs some"
    )
    rounding = (moments.count + len(within)) * np.finfo(np.float64).eps  # of sums over rows, and of their difference
    if freedom < 1 or np.trace(within) <= np.trace(moments.m2) * rounding:
        raise alike
    shrinkage = oas(within / freedom, freedom)
    weight = (1 - shrinkage) / freedom
    covariance = weight * within
    covariance[np.diag_indices_from(covariance)] += shrinkage * np.trace(within) / freedom / len(within)
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # a difference of larger scatters, as after an erasure, of which rounding alone is left
        raise alike from None
    whitening = np.zeros((moments.dimensions, len(within)))
    whitening[live] = np.linalg.inv(factor).T
    return Discriminant(
        summary.labels, summary.label_counts, moments.mean, whitening, _centres(summary, whitening), shrinkage, weight
    )


def oas(covariance: Floats, freedom: int) -> float:
    """The share, above 0 and up to 1, of the scaled identity in the oracle approximating shrinkage of a (q, q) covariance.

    As scikit-learn has it, without the paper's terms in 2 / q. freedom: of how many free rows the covariance is.
    """
    square_of_trace, trace_of_square = float(np.trace(covariance)) ** 2, float((covariance**2).sum())
    spread = (freedom + 1) * (trace_of_square - square_of_trace / len(covariance))
    return min(1.0, (trace_of_square + square_of_trace) / spread) if spread > 0 else 1.0


def _centres(summary: Summary, whitening: Floats) -> Floats:
    """The means of the labels as points, (labels, q)."""
    centres, start = np.empty((len(summary.labels), whitening.shape[1])), 0
    for deviations, counts in _deviations(summary):
        np.matmul(deviations, whitening, out=centres[start : start + len(counts)])
        start += len(counts)
    return centres


def _within(summary: Summary) -> Floats:
    """The scatter of rows around the means of their labels, (d, d)."""
    within = summary.moments.m2.copy()
    for deviations, counts in _deviations(summary):
        within -= deviations.T @ (deviations * counts[:, np.newaxis])
    return within


def _deviations(summary: Summary) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """How far labels' means lie from that of all rows, (block, d), and the labels' counts, (block,): some labels at a time."""
    for start in range(0, len(summary.labels), BLOCK_LABELS):
        block = slice(start, start + BLOCK_LABELS)
        counts = summary.label_counts[block]
        yield summary.label_sums[block] / counts[:, np.newaxis] - summary.moments.mean, counts
