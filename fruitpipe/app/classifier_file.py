"""A version's classifier as a page reads it: numbers in float32, and words about them in JSON.

Half of the whitening is zero, as it is the inverse of a triangular matrix: column j has values in its first j + 1 rows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fruitpipe.classifier.classifier import Classifier
    from fruitpipe.reduction.moments import Floats

LARGEST_DROPPED = 1e-9  # of the whitening's largest value: what rounding leaves below the diagonal


def numbers(classifier: Classifier) -> bytes:
    """Little-endian float32: mean (d), the whitening's q (q + 1) / 2 values column by column, centres (labels, q) by rows."""
    fitted = classifier.discriminant
    parts = (fitted.mean, _columns(fitted.whitening[_varying(fitted.whitening)]), fitted.centres.ravel())
    return np.concatenate(parts).astype("<f4").tobytes()


def words(classifier: Classifier) -> dict[str, Any]:
    """What the numbers mean, ready for JSON. varying: the numbers of the q columns of features that are no constants."""
    fitted, measured = classifier.discriminant, classifier.calibration
    return {
        "labels": list(fitted.labels),
        "counts": fitted.counts.tolist(),
        "features": len(fitted.mean),
        "varying": _varying(fitted.whitening).tolist(),
        "temperature": measured.temperature,
        "most_novel": measured.most_novel,
    }


def _varying(whitening: Floats) -> Any:
    return np.flatnonzero(whitening.any(axis=1))


def _columns(square: Floats) -> Floats:
    below = np.abs(np.tril(square, -1)).max(initial=0)
    assert below <= LARGEST_DROPPED * np.abs(square).max(), "the whitening is not triangular"
    columns, rows = np.tril_indices(len(square))  # column by column, in each the rows down to the diagonal
    found: Floats = square[rows, columns]
    return found
