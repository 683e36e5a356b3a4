"""Rows of the features table for the refit's tests, and what is read of a result."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from fruitpipe import objects
from fruitpipe.extractor import arrow_schema
from fruitpipe.refit import publication
from fruitpipe.table import data_files, delta, file_commits

LABELS = ["Apple", "Kiwi", "Lemon"]
DIMENSIONS = 128  # a tenth of the extractor's: what a refit takes grows with their cube
OF_EXTRACTOR = 1280


def features(count, seed=0, dimensions=DIMENSIONS):
    """Rows as the extractor gives them: three groups, never negative, many columns that are always 0."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(3, dimensions))
    spread = np.random.default_rng(98).normal(size=(8, dimensions))
    rows = np.maximum(centres[np.arange(count) % 3] + rng.normal(size=(count, 8)) @ spread * 0.3, 0)
    rows += rng.random(size=rows.shape) * 0.1
    rows[:, ::4] = 0
    return rows.astype(np.float32)


def rows_of(vectors, first=0, extractor="abc", errors=(), message=None):
    """Rows of the features table; those whose number is in `errors` have a reason in place of features."""
    numbers = range(first, first + len(vectors))
    known = {
        "path": [f"file:///images/{LABELS[number % 3]}/{number:05}.jpg" for number in numbers],
        "label": [LABELS[number % 3] for number in numbers],
        "features": [None if number in errors else vector for number, vector in zip(numbers, vectors, strict=True)],
        "error": ["truncated" if number in errors else None for number in numbers],
        "error_message": [message] * len(vectors),
        "extractor": [extractor] * len(vectors),
        "ingested_at": [datetime.now(UTC)] * len(vectors),
    }
    columns = [field for field in arrow_schema.OUTCOMES if field.name != "outcome"]
    return pa.table([pa.array(known.get(one.name, [None] * len(vectors)), one.type) for one in columns], pa.schema(columns))


def append(root, rows):
    """Adds rows in one commit of two files, as two of the stream's workers write them."""
    half = len(rows) // 2
    parts = [part for part in (rows.slice(0, half), rows.slice(half)) if len(part)]
    file_commits.add(root, [data_files._add(delta.folder(root), part) for part in parts])


def write(root, rows):
    """Adds rows of a DataFrame, by Spark."""
    rows.write.format("delta").mode("append").save(delta.features_uri(root))


def reduced(spark, root, version=None):
    """The published vectors by path, (n, k)."""
    rows = sorted(publication.read_reduced(spark, root, version).collect(), key=lambda row: row["path"])
    return [row["path"] for row in rows], np.array([row["pca_features"] for row in rows], np.float32)


def files(root):
    return {stat.path: stat.etag for stat in objects.list_all(root) if "/features/" not in stat.path}


def by_numpy(rows, k):
    rows = rows.astype(np.float64)
    live = rows.std(axis=0) > 0
    scaled = (rows - rows.mean(axis=0))[:, live] / rows[:, live].std(axis=0, ddof=1)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    return left[:, :k] * sizes[:k], np.cumsum(sizes**2) / (sizes**2).sum()
