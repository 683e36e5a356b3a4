"""Drift between two versions: the angles of their components, and how labels moved. NumPy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.reduction.nearest import nearest_other
from fruitpipe.reduction.pca import Reduction, principal_angles_degrees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fruitpipe.reduction.moments import Floats
    from fruitpipe.reduction.summary import Summary


def compare(before: Reduction, rows_before: Summary, after: Reduction, rows_after: Summary) -> dict[str, Any]:
    """The facts on a version's drift from its predecessor, ready for JSON (`continuity` in `reduction.json`).

    Angles in degrees between the two spaces of components. `label_moves`: per label that both know, the distance between its
    two mean features in the standard deviations of `after`, as a root mean square over the columns that vary.
    `neighbours_changed`: the share of those labels whose nearest other label is another one than before.
    """
    angles = principal_angles_degrees(before.components, after.components)
    labels = sorted(set(rows_before.labels) & set(rows_after.labels))
    old, new = _means(rows_before, labels), _means(rows_after, labels)
    return {
        "largest_angle_degrees": float(angles[-1]),
        "median_angle_degrees": float(np.median(angles)),
        "label_moves": dict(zip(labels, label_moves(old, new, after.scale).tolist(), strict=True)),
        "neighbours_changed": _share_changed(before.transform(old), after.transform(new)),
    }


def label_moves(old: Floats, new: Floats, scale: Floats) -> Floats:
    """How far the means of (labels, d) moved, (labels,), in standard deviations per column that varies (scale (d,) above 0)."""
    live = scale > 0
    moves: Floats = np.sqrt((((new - old)[:, live] / scale[live]) ** 2).mean(axis=1))
    return moves


def _means(rows: Summary, labels: list[str]) -> Floats:
    places = np.searchsorted(np.array(rows.labels, np.str_), np.array(labels, np.str_))
    return rows.label_means[places]


def _share_changed(old: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    if len(old) < 2:  # noqa: PLR2004 - a lone label has no neighbour
        return 0.0
    return float((nearest_other(old) != nearest_other(new)).mean())
