"""The nearest other ones of each of some points, exact: each is compared with each, a block of them at a time. NumPy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_POINTS = 256  # whose distances to all others are held at a time: 41 MB of 20,000 points
CHECKED_PAIRS = 8_192  # computed in float64 at a time: 130 MB at d = 1000


def nearest_other(points: NDArray[Any]) -> NDArray[np.intp]:
    """For each of (n, d) points of any float type, n at least 2, the index of the nearest other one, (n,), by Euclidean distance.

    Costs n² · d multiplications (2 s at 1,500 x 1280).
    """
    exact = points.astype(np.float64)
    exact -= exact.mean(axis=0)  # which keeps digits of the squares
    squares = (exact**2).sum(axis=1)
    nearest = np.empty(len(exact), np.intp)
    for first in range(0, len(exact), BLOCK_POINTS):
        block = exact[first : first + BLOCK_POINTS]
        distances = squares - 2 * block @ exact.T
        np.fill_diagonal(distances[:, first:], np.inf)
        nearest[first : first + BLOCK_POINTS] = distances.argmin(axis=1)
    return nearest


def nearest_others(points: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """For each of (n, d) points the indices of the `count` nearest others, (n, count), the nearest first, ties by index.

    count: from 1 to n - 1. By Euclidean distance, exact: products are taken in float32, which is twice as fast, and what their
    rounding leaves open is computed again in float64. Costs n² · d multiplications (10 s at 20,000 x 400 on two cores).
    """
    found = np.empty((len(points), count), np.intp)
    lengths = np.einsum("ij,ij->i", points, points)
    open_ = 2 * _rounding(points, lengths)
    for first in range(0, len(points), BLOCK_POINTS):
        squares = lengths - 2 * points[first : first + BLOCK_POINTS] @ points.T  # less the point's own, equal in a row
        np.fill_diagonal(squares[:, first:], np.inf)
        nearly = np.partition(squares, count - 1, axis=1)[:, count - 1] + open_
        rows, columns = np.nonzero(squares <= nearly[:, np.newaxis])
        order = np.lexsort((columns, _squared_distances(points, rows + first, columns), rows))
        begins = np.searchsorted(rows, np.arange(len(squares)))  # rows rise, and the ordering keeps them so
        found[first : first + len(squares)] = columns[order][begins[:, np.newaxis] + np.arange(count)]
    return found


def _rounding(points: NDArray[np.float32], lengths: NDArray[np.float32]) -> float:
    """How far a squared distance in float32 can be from the true one, whatever the order in which products are summed.

    Twice (d + 8) units of rounding of each of three sums of at most the largest squared length (Higham, "Accuracy and Stability
    of Numerical Algorithms", 3.1).
    """
    return float(4 * (points.shape[1] + 8) * np.finfo(np.float32).eps * lengths.max(initial=0))


def _squared_distances(points: NDArray[np.float32], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of pairs of points, in float64."""
    found = np.empty(len(first))
    for start in range(0, len(first), CHECKED_PAIRS):
        some = slice(start, start + CHECKED_PAIRS)
        apart = points[first[some]].astype(np.float64) - points[second[some]]
        found[some] = np.einsum("ij,ij->i", apart, apart)
    return found
