"""The images of a version that are nearest to vectors, among all of its reduced features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from fruitpipe import objects
from fruitpipe.refit import publication
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class Near(NamedTuple):
    """An image of the version, and how far it is: Euclidean, between reduced features."""

    path: str
    label: str
    distance: float


def nearest(root: str, version: str, reduced: NDArray[np.float32], wanted: int) -> list[list[Near]]:
    """For each of (n, k) reduced features the `wanted` nearest images, the nearest first.

    Reads all reduced features of the version, some at a time: 4 k bytes an image. Raises Damaged where some are missing.
    """
    publication.check_files(root, version)
    found: list[list[Near]] = [[] for _ in reduced]
    for file in vector_files.listed(publication.reduced_uri(objects.canonical(root), version)):
        for batch in vector_files.rows_at(file.uri, "pca_features"):
            for place, near in enumerate(_of_batch(batch, reduced, wanted)):
                found[place] = sorted(found[place] + near, key=lambda one: (one.distance, one.path))[:wanted]
    return found


def _of_batch(batch: pa.RecordBatch, reduced: NDArray[np.float32], wanted: int) -> list[list[Near]]:
    flat: Any = pc.list_flatten(batch.column(2))
    rows = np.from_dlpack(flat).reshape(len(batch), -1)  # to_numpy would import pandas, which takes longer than all else here
    squares = (rows**2).sum(axis=1) - 2 * reduced @ rows.T + (reduced**2).sum(axis=1)[:, np.newaxis]
    chosen = np.argsort(squares, axis=1, kind="stable")[:, :wanted]
    paths, labels = batch.column(0), batch.column(1)
    return [
        [Near(paths[row].as_py(), labels[row].as_py(), float(np.linalg.norm(rows[row] - vector))) for row in places.tolist()]
        for places, vector in zip(chosen, reduced, strict=True)
    ]
