"""Nearest neighbours in a sample of vectors: which labels are confused, and a map by t-SNE."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.reduction.nearest import nearest_other

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERPLEXITY = 30  # scikit-learn's default: about how many neighbours count
ITERATIONS = 500  # at 1,500 points the map moves no more; half of scikit-learn's default, and half its time
LEADING = 50  # components that t-SNE gets; the rest is mostly noise and costs time
FEW = 4  # images below which t-SNE has nothing to arrange


def confusion(vectors: NDArray[Any], labels: NDArray[np.intp], count: int) -> NDArray[np.int64]:
    """(count, count): how many images of label i have an image of label j as their nearest other image.

    vectors: (n, d) of any float type, by Euclidean distance. labels: (n,) numbers from 0. Costs what `nearest_other` does.
    """
    found = np.zeros((count, count), np.int64)
    if len(vectors) > 1:
        np.add.at(found, (labels, labels[nearest_other(vectors)]), 1)
    return found


def agreement(matrix: NDArray[np.int64]) -> float | None:
    """The share of images whose nearest other image has their own label; None where there are none."""
    return float(np.trace(matrix) / matrix.sum()) if matrix.sum() else None


def arranged(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """t-SNE of (n, k) reduced vectors in the plane, (n, 2), the same each time. 2 s on one core at 1,500 vectors.

    (van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008; scikit-learn's Barnes-Hut variant.) On one thread: with
    several, its short loops wait for each other wherever something else uses a core.
    """
    # Without it joblib counts cores, and prints a traceback in a container that does not tell them.
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    leading = vectors[:, :LEADING].astype(np.float64)
    if len(leading) < FEW or (leading == leading[0]).all():  # of images at one place t-SNE makes NaN, and takes the process down
        return np.column_stack([leading[:, :2], np.zeros((len(leading), 2))])[:, :2]
    with threadpool_limits(1):
        perplexity = min(PERPLEXITY, (len(leading) - 1) / 3)
        map_ = TSNE(init="pca" if leading.shape[1] > 1 else "random", perplexity=perplexity, max_iter=ITERATIONS, random_state=0)
        placed: NDArray[np.float64] = map_.fit_transform(leading).astype(np.float64)
    return placed
