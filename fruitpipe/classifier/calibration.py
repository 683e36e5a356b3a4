"""What scores are worth, measured on rows that the classifier is asked about as if it had not seen them.

temperature: scores divided by it give probabilities that are right on average. Columns that depend on each other make the model
far too sure of itself, so it is well above 1 (Guo et al., "On Calibration of Modern Neural Networks", 2017). It is the one at
which the average probability of the answers equals the share of right ones (Clarté et al., "Expectation consistency for
calibration of neural networks", 2023), by the rule of succession: where all answers are right, likelihood would ask for 0.

novelty: the squared distance to the nearest label's centre by that to the mean of all rows, both as rows scatter within labels.
It is 0 at a centre and about 1 for what no label explains better than their average. It is relative, as in Ren et al., "A Simple
Fix to Mahalanobis Distance for Improving Near-OOD Detection" (2021), but a ratio, as both distances grow with a vector's length.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.classifier.leave_one_out import LeftOut, leave_one_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fruitpipe.classifier.discriminant import Discriminant
    from fruitpipe.reduction.moments import Floats

KNOWN_KEPT = 0.95  # of images of known labels are called known
MOST_CELLS = 2**23  # of (rows, labels) that are measured on: 67 MB in float64
FEWEST_ROWS = 200  # whatever the number of labels
HALVINGS = 60
BINS = 15  # of the calibration error, as Guo et al. have it


@dataclass(frozen=True)
class Calibration:
    """temperature: above 0. most_novel: what is above it is unknown. rows: measured on.

    accuracy: the share of the rows whose label is found; accuracy_of_known: of those that are called known; known: their share.
    calibration_error: expected, between probability and accuracy, 0 to 1. All four are None where there were no rows.
    """

    temperature: float = 1.0
    most_novel: float = 1.0  # nearer to the mean of all than to any label
    rows: int = 0
    accuracy: float | None = None
    accuracy_of_known: float | None = None
    known: float | None = None
    calibration_error: float | None = None

    def facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """``99.9 % of 1,500 images right, each left out in turn; unknown above a novelty of 0.84``."""
        if self.accuracy is None:
            return "not measured, as no image that was sampled has another of its label"
        right = f"{100 * self.accuracy:.1f} % of {self.rows:,} images right, each left out in turn"
        return f"{right}; unknown above a novelty of {self.most_novel:.2f}"


def calibrate(fitted: Discriminant, features: NDArray[np.float32], labels: NDArray[Any]) -> Calibration:
    """Measures on (n, d) rows of the fit with their labels (n,), of which those are left out that are their label's only row.

    Costs 4 n · labels · q multiplications and 0.3 GB at the most: of very many labels fewer rows are measured on.
    """
    numbers = np.searchsorted(np.array(fitted.labels, np.str_), labels.astype(np.str_))
    usable = np.flatnonzero(fitted.counts[numbers] > 1)
    if not len(usable):
        return Calibration()
    most = max(FEWEST_ROWS, MOST_CELLS // len(fitted.labels))
    chosen = usable[np.linspace(0, len(usable) - 1, min(most, len(usable))).astype(np.intp)]
    return _measured(leave_one_out(fitted, features[chosen], numbers[chosen]))


def _measured(left_out: LeftOut) -> Calibration:
    right = left_out.scores.argmax(axis=1) == left_out.labels
    rows, most_novel = len(right), _quantile(left_out.novelty)
    temperature = _temperature(left_out.scores, (int(right.sum()) + 1) / (rows + 2))
    known = left_out.novelty <= most_novel
    sure = _largest(left_out.scores, temperature)
    return Calibration(
        temperature=temperature,
        most_novel=most_novel,
        rows=rows,
        accuracy=float(right.mean()),
        accuracy_of_known=float(right[known].mean()),
        known=float(known.mean()),
        calibration_error=calibration_error(sure, right),
    )


def probabilities(scores: NDArray[Any], temperature: float) -> NDArray[Any]:
    """(n, labels) scores as probabilities: each row's sum is 1."""
    powers = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    shares: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def calibration_error(sure: Floats, right: NDArray[np.bool_]) -> float:
    """The expected calibration error of answers with the probabilities `sure` (n,), in BINS bins of equal width."""
    numbers = np.minimum((sure * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(numbers, sure - right, BINS)
    return float(np.abs(gaps).sum() / len(sure))


def _temperature(scores: Floats, wanted: float) -> float:
    """At which the largest probabilities are `wanted` on average; they fall as it rises. By halving its logarithm's range."""
    low, high = 1e-3, 1e6
    for _ in range(HALVINGS):
        middle = float(np.sqrt(low * high))
        is_too_sure = float(_largest(scores, middle).mean()) > wanted
        low, high = (middle, high) if is_too_sure else (low, middle)
    return high


def _largest(scores: Floats, temperature: float) -> Floats:
    """The largest probability of each row, (n,)."""
    largest: Floats = 1 / np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature).sum(axis=1)
    return largest


def _quantile(novelty: Floats) -> float:
    """What a new image of a known label is at most with the probability KNOWN_KEPT (split conformal prediction, Vovk 2005).

    Below 19 rows there is no such value, and the largest that was seen is given.
    """
    place = int(np.ceil(KNOWN_KEPT * (len(novelty) + 1)))
    return float(np.sort(novelty)[min(place, len(novelty)) - 1])
