"""The classifier of a version: discriminant and calibration together, as users' code has it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fruitpipe.classifier import discriminant
from fruitpipe.classifier.calibration import Calibration, calibrate, probabilities
from fruitpipe.classifier.discriminant import Discriminant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fruitpipe.reduction.moments import Floats
    from fruitpipe.reduction.summary import Summary

ARRAYS = ("counts", "mean", "whitening", "centres")
NUMBERS = ("shrinkage", "scatter_weight")
MEASURED = ("temperature", "most_novel")


class Answer(NamedTuple):
    """What a vector is: its label and the next likely one, with their probabilities; whether that is to be believed.

    novelty: from 0; above the classifier's `most_novel` no label is known for it, whatever the probabilities say.
    """

    label: str
    probability: float
    runner_up: str
    runner_up_probability: float
    novelty: float
    is_known: bool


@dataclass(frozen=True, eq=False)
class Classifier:
    """Linear discriminant analysis of a version's features, with what it was measured to be worth."""

    discriminant: Discriminant
    calibration: Calibration

    @property
    def labels(self) -> tuple[str, ...]:
        """All that it can name, sorted."""
        return self.discriminant.labels

    def identify(self, features: NDArray[Any], *, equal_priors: bool = False) -> list[Answer]:
        """An answer for each of (n, d) features of any float type.

        equal_priors: any label is as likely as any other before the picture is seen; else as its share of the images is. Costs
        d² + d · labels multiplications a row. Raises ValueError for other than d columns.
        """
        answers = []
        for scores, novelty in self._scored(features, equal_priors=equal_priors):
            answers += [
                self._answer(*row) for row in zip(probabilities(scores, self.calibration.temperature), novelty, strict=True)
            ]
        return answers

    def predict(self, features: NDArray[Any], *, equal_priors: bool = False) -> list[str]:
        """The likeliest label of each of (n, d) features, known or not."""
        return [answer.label for answer in self.identify(features, equal_priors=equal_priors)]

    def predict_proba(self, features: NDArray[Any], *, equal_priors: bool = False) -> Floats:
        """(n, labels) float64: the probability of each of `labels`, for (n, d) features."""
        parts = [
            probabilities(scores, self.calibration.temperature) for scores, _ in self._scored(features, equal_priors=equal_priors)
        ]
        return np.vstack([np.zeros((0, len(self.labels))), *parts])

    def novelty(self, features: NDArray[Any]) -> Floats:
        """(n,): how far each of (n, d) features is from what any label explains; above `calibration.most_novel` it is unknown."""
        return np.concatenate([np.zeros(0), *(novelty for _, novelty in self._scored(features, equal_priors=True))])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, what `from_arrays` takes: the form in which a classifier is stored, plain arrays and numbers."""
        of_fit, measured = self.discriminant, self.calibration
        numbers = {name: np.array(getattr(of_fit, name)) for name in NUMBERS}
        bounds = {name: np.array(getattr(measured, name)) for name in MEASURED}
        return {name: getattr(of_fit, name) for name in ARRAYS} | numbers | bounds | {"labels": np.array(of_fit.labels, np.str_)}

    def facts(self) -> dict[str, Any]:
        """How it was fitted and what it was measured to be worth, ready for JSON."""
        return {"shrinkage": self.discriminant.shrinkage} | self.calibration.facts()

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Classifier:
        """The classifier that `arrays` and `facts` were made of; what else the facts say is left alone."""
        numbers = {name: float(arrays[name]) for name in (*NUMBERS, *MEASURED)}
        of_fit: dict[str, Any] = {name: arrays[name] for name in ARRAYS} | {name: numbers[name] for name in NUMBERS}
        measured = {field.name: facts[field.name] for field in fields(Calibration) if field.name in facts}
        calibration = Calibration(**measured | {name: numbers[name] for name in MEASURED})
        return cls(Discriminant(tuple(arrays["labels"].tolist()), **of_fit), calibration)

    def _scored(self, features: NDArray[Any], *, equal_priors: bool) -> Iterator[tuple[Floats, Floats]]:
        """Scores (block, labels), log posteriors but for a sum, and novelty (block,): some rows at a time."""
        fitted = self.discriminant
        priors = 0.0 if equal_priors else np.log(fitted.counts / fitted.rows)
        step = fitted.block_rows
        for start in range(0, len(features), step):
            points = fitted.whitened(features[start : start + step])
            distances, from_mean = fitted.squared_distances(points), (points**2).sum(axis=1)
            yield priors - distances / 2, discriminant.novelty(distances, from_mean)

    def _answer(self, shares: Floats, novelty: float) -> Answer:
        second, first = np.argsort(shares, kind="stable")[-2:]
        names = self.labels
        is_known = bool(novelty <= self.calibration.most_novel)
        return Answer(names[first], float(shares[first]), names[second], float(shares[second]), float(novelty), is_known)


def fit(summary: Summary, sample: Callable[[], tuple[NDArray[np.float32], NDArray[Any]]]) -> Classifier:
    """The classifier of the rows behind `summary`, measured on some of them.

    sample: gives those, (n, d) features and their labels (n,); called only where a classifier can be fitted, as to read them may
    take a pass over all. Raises NotEnoughRows where there is one label, or no label whose images differ.
    """
    fitted = discriminant.fit(summary)
    return Classifier(fitted, calibrate(fitted, *sample()))
