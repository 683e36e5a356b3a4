"""The whole way on 2,016 photographs of Fruits-360, and its reduction against Spark ML's on the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.functions import array_to_vector

from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import publication, version_model
from fruitpipe.settings import IngestSettings, RefitSettings
from fruitpipe.table import delta

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "fruits-360" / "Training"
IMAGES, LABELS = 2016, 36

pytestmark = pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason=f"needs fruits-360: photographs in {PHOTOGRAPHS}")


@pytest.fixture(scope="module")
def root(spark, tmp_path_factory):  # noqa: ARG001 - the jobs find the session that is there
    root = f"file://{tmp_path_factory.mktemp('real')}/root"
    ingest(IngestSettings(images=str(PHOTOGRAPHS), root=root, once=True))
    refit(RefitSettings(root=root))
    return root


@pytest.fixture(scope="module")
def rows(spark, root):
    return delta.rows(spark, root).select("path", "label", "features").cache()


@pytest.fixture(scope="module")
def model(root):
    return version_model.load_model(root, "v000001")


@pytest.fixture(scope="module")
def spark_ml(rows):
    """Spark ML's PCA with all components, on standardised features."""
    vectors = rows.select(array_to_vector("features").alias("raw"))
    scaler = StandardScaler(inputCol="raw", outputCol="scaled", withMean=True, withStd=True).fit(vectors)
    return PCA(k=1280, inputCol="scaled", outputCol="reduced").fit(scaler.transform(vectors))


def neighbour_accuracy(labels, vectors):
    """The share of images whose nearest other image bears the same label."""
    squares = (vectors**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T
    np.fill_diagonal(distances, np.inf)
    return (labels[distances.argmin(axis=1)] == labels).mean()


def largest_angle(a, b):
    """The largest principal angle, in radians, between the spans of the orthonormal rows of `a` and of `b`; by its sine."""
    return np.arcsin(min(1.0, np.linalg.norm(a - (a @ b.T) @ b, ord=2)))


def test_each_photograph_has_one_row_with_features(rows):
    assert rows.count() == rows.select("path").distinct().count() == IMAGES
    assert rows.select("label").distinct().count() == LABELS
    assert rows.where("features IS NULL").count() == 0


def test_the_nearest_neighbour_bears_the_same_label_before_and_after_the_reduction(spark, root, rows):
    reduced = publication.read_reduced(spark, root).toArrow()
    full = rows.toArrow()
    accuracies = {
        column: neighbour_accuracy(np.array(table["label"]), np.stack(table[column].to_numpy()).astype(np.float64))
        for table, column in ((full, "features"), (reduced, "pca_features"))
    }
    print(f"nearest-neighbour label accuracy: {accuracies}")
    assert min(accuracies.values()) >= 0.95


def test_spark_ml_needs_as_many_components_for_95_percent(model, spark_ml):
    explained = np.asarray(spark_ml.explainedVariance)
    print(f"k for 95 %: {model.reduction.k}")
    assert model.reduction.k == int(np.searchsorted(np.cumsum(explained), 0.95)) + 1
    ours = np.asarray(model.reduction.explained_variance_ratio)
    np.testing.assert_allclose(ours, explained[: len(ours)], atol=1e-6)


def test_spark_ml_spans_the_same_subspace(model, spark_ml):
    theirs = np.asarray(spark_ml.pc.toArray()).T[: model.reduction.k]
    angle = largest_angle(np.asarray(model.reduction.components, dtype=np.float64), theirs)
    print(f"largest principal angle to Spark ML's subspace: {angle:.1e}")
    assert angle <= 1e-6
