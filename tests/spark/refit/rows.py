"""Rows of the features table for the refit's tests, and what is read of a result."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812

from fruitpipe import objects
from fruitpipe.refit import publication
from fruitpipe.table import delta, schema

LABELS = ["Apple", "Kiwi", "Lemon"]


DIMENSIONS = 1280


def features(count, seed=0):
    """Rows as the extractor gives them: three groups, never negative, many columns that are always 0."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(3, DIMENSIONS))
    spread = np.random.default_rng(98).normal(size=(8, DIMENSIONS))
    rows = np.maximum(centres[np.arange(count) % 3] + rng.normal(size=(count, 8)) @ spread * 0.3, 0)
    rows += rng.random(size=rows.shape) * 0.1
    rows[:, ::4] = 0
    return rows.astype(np.float32)


def frame(spark, rows, first=0, extractor="abc", errors=(), message=None):
    """Rows of the features table; those whose number is in `errors` have a reason in place of features."""
    numbers = range(first, first + len(rows))
    names = [f"file:///images/{LABELS[number % 3]}/{number:05}.jpg" for number in numbers]
    vectors = [None if number in errors else vector for number, vector in zip(numbers, rows.tolist(), strict=True)]
    reasons = ["truncated" if number in errors else None for number in numbers]
    columns = {
        "path": names,
        "label": [LABELS[number % 3] for number in numbers],
        "features": pa.array(vectors, pa.list_(pa.float32())),
        "error": pa.array(reasons, pa.string()),
        "error_message": pa.array([message] * len(rows), pa.string()),
        "extractor": [extractor] * len(rows),
        "ingested_at": [datetime.now(UTC)] * len(rows),
    }
    known = spark.createDataFrame(pa.table(columns))
    return known.select(
        *[F.col(f.name) if f.name in columns else F.lit(None).cast(f.dataType).alias(f.name) for f in schema.FEATURES]
    )


def write(root, rows):
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
