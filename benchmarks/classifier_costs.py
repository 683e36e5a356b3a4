"""What a version's classifier costs a refit beyond its components: seconds and memory by labels, of drawn rows.

python benchmarks/identify.py --costs
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.classifier import discriminant
from fruitpipe.classifier.calibration import calibrate
from fruitpipe.classifier.classifier import Classifier
from fruitpipe.reduction import pca
from fruitpipe.reduction.moments import npz
from fruitpipe.reduction.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LABEL_COUNTS = (36, 1_000, 20_000)
ROWS_A_LABEL = 2  # at least; a calibration measures on labels with two rows
DIMENSIONS = 1280


def costs() -> None:
    """Prints the table."""
    print(
        "\n| labels | rows measured on | components, s | discriminant, s | measured, s | peak MB beyond the summary | file, MB |"
    )
    print("|---|---|---|---|---|---|---|")
    for labels in LABEL_COUNTS:
        summary, features, numbers = _drawn(labels)
        seconds = {"components": _timed(lambda: pca.fit(summary.moments))[0]}  # noqa: B023 - called at once
        seconds["discriminant"], fitted = _timed(lambda: discriminant.fit(summary))  # noqa: B023
        seconds["measured"], measured = _timed(lambda: calibrate(fitted, features, numbers))  # noqa: B023
        tracemalloc.start()
        named = Classifier(again := discriminant.fit(summary), calibrate(again, features, numbers))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        times = " | ".join(f"{took:.2f}" for took in seconds.values())
        print(
            f"| {labels:,} | {measured.rows:,} | {times} | {peak / 1e6:.0f} | {len(npz(named.arrays())) / 1e6:.0f} |", flush=True
        )


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def _drawn(labels: int) -> tuple[Summary, NDArray[np.float32], NDArray[np.str_]]:
    """A summary of as many labels, and 1,500 of their rows."""
    rng = np.random.default_rng(labels)
    rows = max(2_000, ROWS_A_LABEL * labels)
    centres, names = rng.random((labels, DIMENSIONS), np.float32), np.array([f"label {number:05}" for number in range(labels)])
    summary = Summary.zero(DIMENSIONS)
    for start in range(0, rows, 8_000):
        numbers = np.arange(start, min(rows, start + 8_000)) % labels
        features = centres[numbers] + 0.5 * rng.normal(size=(len(numbers), DIMENSIONS)).astype(np.float32)
        summary = summary.merge(Summary.of(features, names[numbers].astype(object), names[numbers].astype(object)))
    return summary, features[:1_500], names[numbers[:1_500]]
