"""The classifier of a version on the photographs: accuracy, what is unknown, calibration, an erasure, and what a refit pays.

    python benchmarks/identify.py [--photographs DIR] [--seeds 0,1,2] [--each N] [--costs]

For each seed half of each label's photographs are left out, by a hash of seed, label and name; the classifier is fitted on the
others (with --each on so many of each label), and measured on what was left out. For the unknown, every sixth label in turn is
left out whole. AUROC is the probability that a photograph of a label left out gets the higher score than one of a label that is
known. With --costs the refit's extra time and memory at 36, 1,000 and 20,000 labels of drawn rows, which takes a minute and 2 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import classifier_costs
from benchmarks.features import PHOTOGRAPHS, base
from fruitpipe.classifier import classifier, discriminant
from fruitpipe.classifier.calibration import calibration_error, probabilities
from fruitpipe.classifier.classifier import Classifier
from fruitpipe.reduction.moments import Moments
from fruitpipe.reduction.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FOLDS = 6
SHRINKAGES = (0.001, 0.01, 0.03, 0.1, 0.3, 0.6)


class Rows(NamedTuple):
    """(n, d) float32 features, n labels, n names."""

    features: NDArray[np.float32]
    labels: NDArray[np.str_]
    names: list[str]

    def where(self, chosen: NDArray[np.bool_]) -> Rows:
        return Rows(self.features[chosen], self.labels[chosen], [self.names[place] for place in np.flatnonzero(chosen)])

    def summary(self) -> Summary:
        return Summary.of(self.features, self.labels.astype(object), np.array(self.names, object))

    def classifier(self) -> Classifier:
        return classifier.fit(self.summary(), lambda: (self.features, self.labels))


def half(rows: Rows, seed: int, each: int | None) -> NDArray[np.bool_]:
    """Which rows the classifier is fitted on: half of each label's, or `each` of them."""
    places = np.array([hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in rows.names])
    chosen = np.zeros(len(places), bool)
    for label in np.unique(rows.labels):
        of_label = np.flatnonzero(rows.labels == label)
        chosen[of_label[np.argsort(places[of_label])[: each or len(of_label) // 2]]] = True
    return chosen


def accuracy(rows: Rows, seeds: list[int], each: int | None) -> None:
    print("\n| seed | images: fitted on, left out | shrinkage | temperature | right | left out in turn | "
          "calibration error, before | after | right at the bound | known |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for seed in seeds:
        fitted_on = half(rows, seed, each)
        named, others = rows.where(fitted_on).classifier(), rows.where(~fitted_on)
        before, after = (errors(named, others, temperature) for temperature in (1.0, named.calibration.temperature))
        right = np.array(named.predict(others.features)) == others.labels
        known = named.novelty(others.features) <= named.calibration.most_novel
        print(f"| {seed} | {fitted_on.sum():,}, {len(right):,} | {named.discriminant.shrinkage:.3f} | "
              f"{named.calibration.temperature:.1f} | {right.mean():.4f} | {named.calibration.accuracy:.4f} | {before:.4f} | "
              f"{after:.4f} | {right[known].mean():.4f} | {known.mean():.4f} |")  # fmt: skip


def errors(named: Classifier, others: Rows, temperature: float) -> float:
    scores = np.log(named.predict_proba(others.features).clip(1e-300)) * named.calibration.temperature
    shares = probabilities(scores, temperature)
    right = np.array(named.labels)[shares.argmax(axis=1)] == others.labels
    return calibration_error(shares.max(axis=1), right)


def shrinkages(rows: Rows, seed: int, each: int | None) -> None:
    """What other shares of the identity would have given, beside the rule's."""
    fitted_on = half(rows, seed, each)
    train, others = rows.where(fitted_on), rows.where(~fitted_on)
    rule, found = discriminant.oas, {}
    for share in (None, *SHRINKAGES):
        discriminant.oas = rule if share is None else lambda *_, share=share: share
        named = train.classifier()
        right = (np.array(named.predict(others.features)) == others.labels).mean()
        found[f"{named.discriminant.shrinkage:.3f}" + (" (the rule's)" if share is None else "")] = right
    discriminant.oas = rule
    print(f"\nright, by shrinkage (seed {seed}): " + ", ".join(f"{share}: {right:.4f}" for share, right in found.items()))
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (train.features, others.features)]
    nearest = train.labels[(unit[1] @ unit[0].T).argmax(axis=1)]
    means = np.stack([train.features[train.labels == label].mean(axis=0) for label in named.labels])
    centroid = np.array(named.labels)[((others.features[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)]
    print(f"beside it: nearest image by cosine {(nearest == others.labels).mean():.4f}, "
          f"nearest mean {(centroid == others.labels).mean():.4f}")  # fmt: skip


def unknown(rows: Rows, seeds: list[int], each: int | None) -> None:
    areas, at_bound = defaultdict(list), defaultdict(list)
    for seed in seeds:
        fitted_on, labels = half(rows, seed, each), np.unique(rows.labels)
        for fold in range(FOLDS):
            stranger = np.isin(rows.labels, labels[fold::FOLDS])
            train, known = rows.where(fitted_on & ~stranger), rows.where(~fitted_on & ~stranger)
            named, strangers = train.classifier(), rows.where(stranger)
            for name, score in SCORES.items():
                areas[name].append(auroc(score(named, train, known.features), score(named, train, strangers.features)))
            is_known = named.novelty(known.features) <= named.calibration.most_novel
            right = np.array(named.predict(known.features)) == known.labels
            at_bound["known images that are called known"].append(is_known.mean())
            at_bound["of these right"].append(right[is_known].mean())
            told = named.novelty(strangers.features) > named.calibration.most_novel
            at_bound["images of other labels that are called unknown"].append(told.mean())
    print(f"\n| score, every {FOLDS}th label left out in turn, seeds {seeds} | AUROC, average | least |\n|---|---|---|")
    for name, found in areas.items():
        print(f"| {name} | {np.mean(found):.4f} | {min(found):.4f} |")
    print("\n| at the bound that the version publishes | average | least |\n|---|---|---|")
    for name, found in at_bound.items():
        print(f"| {name} | {np.mean(found):.4f} | {min(found):.4f} |")


def auroc(of_known: NDArray[np.float64], of_strangers: NDArray[np.float64]) -> float:
    ordered = np.sort(of_known)
    below, up_to = np.searchsorted(ordered, of_strangers, "left"), np.searchsorted(ordered, of_strangers, "right")
    return float((below + up_to).mean() / 2 / len(ordered))


def _distances(named: Classifier, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return named.discriminant.squared_distances(named.discriminant.whitened(features))


def _relative(named: Classifier, train: Rows, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ren et al.: less the distance by the covariance of all rows, shrunk by the same rule."""
    moments = Moments.of(train.features)
    total = moments.m2 / (moments.count - 1)
    share = discriminant.oas(total, moments.count - 1)
    shrunk = (1 - share) * total + share * np.trace(total) / len(total) * np.eye(len(total))
    points = (features - moments.mean) @ np.linalg.inv(np.linalg.cholesky(shrunk)).T
    difference: NDArray[np.float64] = _distances(named, features).min(axis=1) - (points**2).sum(axis=1)
    return difference


def _neighbour(_: Classifier, train: Rows, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sun et al.: the distance to the nearest kept vector, of length 1."""
    kept, asked = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (train.features, features))
    distance: NDArray[np.float64] = 1 - (asked @ kept.T).max(axis=1).astype(np.float64)
    return distance


def _energy(named: Classifier, _: Rows, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Liu et al., of the linear scores."""
    points = named.discriminant.whitened(features)
    linear = (points**2).sum(axis=1)[:, np.newaxis] - named.discriminant.squared_distances(points)
    energy: NDArray[np.float64] = -np.logaddexp.reduce(linear / 2, axis=1)
    return energy


SCORES: dict[str, Callable[[Classifier, Rows, NDArray[np.float32]], NDArray[np.float64]]] = {
    "novelty (the product's)": lambda named, _, features: named.novelty(features),
    "least Mahalanobis distance (Lee 2018)": lambda named, _, features: _distances(named, features).min(axis=1),
    "relative Mahalanobis distance (Ren 2021)": _relative,
    "nearest kept vector, cosine (Sun 2022)": _neighbour,
    "energy of the scores (Liu 2020)": _energy,
    "largest probability": lambda named, _, features: -named.predict_proba(features).max(axis=1),
}


def erasure(rows: Rows) -> None:
    """How far a classifier whose moments gave an image back is from one that never had it."""
    gone = np.arange(len(rows.labels)) == len(rows.labels) // 2
    after, never = rows.summary().subtract(rows.where(gone).summary()), rows.where(~gone).summary()
    left = rows.where(~gone)
    first, second = (classifier.fit(one, lambda: (left.features, left.labels)).arrays() for one in (after, never))
    largest = {
        name: float(np.abs(first[name] - second[name]).max() / np.abs(second[name]).max()) for name in first if name != "labels"
    }
    print("\nafter an erasure, largest difference to one that never had the image, relative to the largest number: "
          + ", ".join(f"{name} {apart:.1e}" for name, apart in largest.items()))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--each", type=int, metavar="N", help="images of each label to fit on; half of them without")
    parser.add_argument("--costs", action="store_true", help="only what a refit pays")
    given = parser.parse_args()
    if given.costs:
        classifier_costs.costs()
        return
    found = base(given.photographs)
    files = [f"{file.parent.name}/{file.name}" for file in sorted(given.photographs.glob("*/*.jpg"))]
    names = files if len(files) == len(found.labels) else [f"{number:05}" for number in range(len(found.labels))]
    rows = Rows(found.features, found.labels, names)
    print(f"{found.source}, {len(np.unique(rows.labels))} labels")
    accuracy(rows, given.seeds, given.each)
    shrinkages(rows, given.seeds[0], given.each)
    unknown(rows, given.seeds, given.each)
    erasure(rows)


if __name__ == "__main__":
    main()
