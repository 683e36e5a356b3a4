"""A small published version in memory, with pictures on disk, for the tests of the report."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit.version_model import Model
from fruitpipe.report import document
from tests.pictures import fill

LABELS = ("Crème brûlée", "Kiwi", "</script><b>Pomme d'api")
EACH = 8
DIMENSIONS = 40


def sampled(folder):
    """Path, label and features of eight images of each label; a label's images lie around a point of their own."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(3, DIMENSIONS)), EACH, axis=0)
    features = (centres + 0.1 * rng.normal(size=centres.shape)).astype(np.float32)
    paths = [path for number in range(3) for path in fill(folder, EACH, str(number), first=number * EACH)]
    labels = [label for label in LABELS for _ in range(EACH)]
    return pa.table({"path": paths, "label": labels, "features": pa.array(features.tolist(), pa.list_(pa.float32()))})


def model(rows, **more):
    """A model fitted on those rows."""
    features = np.array(rows["features"].to_pylist(), np.float32)
    summary = Summary.of(features, np.array(rows["label"].to_pylist(), object), np.array(rows["path"].to_pylist(), object))
    reduction = fit(summary.moments, variance=0.9)
    facts = {
        "version": "v000002",
        "k": reduction.k,
        "variance_asked": 0.9,
        "variance_kept": reduction.variance_kept,
        "rows": len(rows),
        "rows_set_aside": 0,
        "rows_read": len(rows),
        "labels": 3,
        "constant_columns": reduction.constant_columns,
        "features_version": 4,
        "extractor": "5f18a323512f5821",
        "how": "features version 4: all 24 rows read (there is no earlier version)",
        "seconds": 12.3,
        "basis": "v000002",
        "created_at": datetime(2026, 11, 5, 10, tzinfo=UTC).isoformat(),
        "continuity": None,
    }
    return Model(reduction, summary, facts | more)


TABLE = document.Table(
    labels=dict.fromkeys(LABELS, EACH),
    arrivals={"unit": "hour", "at": ["2026-11-05T08:00:00+00:00", "2026-11-05T09:00:00+00:00"], "images": [20, 6]},
    errors={"truncated": 2},
    failures=[{"error": "truncated", "path": "s3://b/<i>cut.jpg", "message": "12 bytes, without the end"}],
)
