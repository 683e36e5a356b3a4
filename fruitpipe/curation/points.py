"""A version's images as points, so that images that look alike lie close together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from fruitpipe import objects
from fruitpipe.errors import NotEnoughRows
from fruitpipe.reduction.nearest import nearest_others
from fruitpipe.refit import publication
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Points:
    """The images of a version, by path: n paths, n labels, and (n, k) float32 of length 1.

    A row is made of the reduced features by `balanced`, and a distance between two is (2 - 2 cosine)^½.
    """

    version: str
    paths: list[str]
    labels: list[str]
    vectors: NDArray[np.float32]

    def neighbours(self, count: int) -> NDArray[np.intp]:
        """The numbers of the nearest other images of each, (n, count) or all others where there are fewer."""
        return nearest_others(self.vectors, min(count, len(self.paths) - 1))

    def distance(self, first: int, second: int) -> float:
        """Between two images: 0 for the same vector, 1.41 for what has nothing in common."""
        return float(np.linalg.norm(self.vectors[first].astype(np.float64) - self.vectors[second]))


def read(root: str) -> Points:
    """The images of the current version. Reads 4 k bytes an image.

    Raises NotFound where nothing is published, Damaged where rows are missing, NotEnoughRows for a single one.
    """
    name = publication.current(root)
    publication.check_files(root, name)
    paths, labels, blocks = list[str](), list[str](), list[Any]()
    for file in vector_files.listed(publication.reduced_uri(objects.canonical(root), name)):
        for batch in vector_files.rows_at(file.uri, "pca_features"):
            paths += _texts(batch, 0)
            labels += _texts(batch, 1)
            flat: Any = pc.list_flatten(batch.column(2))
            blocks.append(np.from_dlpack(flat).reshape(len(batch), -1))
    if len(paths) < 2:  # noqa: PLR2004 - an image and another
        raise NotEnoughRows(f"{name} of {root} has {len(paths)} images; at least 2 can be compared")
    order = sorted(range(len(paths)), key=paths.__getitem__)
    variances = publication.load_reduction(root, name).output_variances
    reduced = np.concatenate(blocks)[order]
    blocks.clear()
    vectors = balanced(reduced, variances)
    return Points(name, [paths[row] for row in order], [labels[row] for row in order], vectors)


def balanced(reduced: NDArray[np.float32], variances: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n, k) reduced features, each component divided by the square root of its standard deviation, each row by its length.

    This is half of whitening. Without it a few components decide what is near; with all of it the last ones do, which are mostly
    noise. docs/look.md has the figures. variances: (k,), of the components.
    """
    scaled: Any = reduced / (np.where(variances > 0, variances, 1) ** 0.25).astype(np.float32)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    scaled /= np.where(lengths > 0, lengths, 1)
    vectors: NDArray[np.float32] = scaled
    return vectors


def _texts(batch: pa.RecordBatch, column: int) -> list[str]:
    found: list[Any] = batch.column(column).to_pylist()
    return found
