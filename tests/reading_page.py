"""The snippets of docs/reading.md, and a small root to run them on, which no Spark is needed to make."""

from __future__ import annotations

import re
from pathlib import Path

import deltalake
import numpy as np
import pyarrow as pa

from fruitpipe import objects
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import publication, version_model
from fruitpipe.refit.on_spark import project_batches, vectors_of
from fruitpipe.refit.version_model import Model
from fruitpipe.table import vector_files

PAGE = (Path(__file__).parents[1] / "docs" / "reading.md").read_text()
# What stands before a snippet, up to its colon → the snippet; those of the features have names of their own.
REDUCED, FEATURES_PAGE = PAGE.split("## The features themselves")
SNIPPETS, OF_FEATURES = (
    dict(re.findall(r"^([^\n]*):\n\n```python\n(.*?)```", page, re.MULTILINE | re.DOTALL)) for page in (REDUCED, FEATURES_PAGE)
)
LABELS = np.array(["Kiwi", "Crème brûlée", "Pomme d'api"] * 8, object)
PATHS = np.array([f"file:///images/{label}/{number:02}.jpg" for number, label in enumerate(LABELS)], object)
FEATURES = np.random.default_rng(0).random((24, 1280), np.float32)


def _batch(rows):
    return vector_files.pa.record_batch({"path": PATHS[rows], "label": LABELS[rows], "features": vectors_of(FEATURES[rows])})


def publish(root):
    """Two versions; the current one has two files."""
    summary = Summary.of(FEATURES, LABELS, PATHS)
    for components in (2, 5):
        reduction = fit(summary.moments, components=components)
        with publication.attempt(root) as version:
            folder = publication.reduced_uri(objects.canonical(root), version)
            for number, rows in enumerate((slice(0, 9), slice(9, 24))):
                vector_files.write(project_batches([_batch(rows)], reduction), f"{folder}/part-{version}-{number:05}.parquet")
            version_model.save_model(root, version, Model(reduction, summary, {"version": version, "rows": len(PATHS)}))
            publication.switch(root, version)


def write_features(root):
    """A table as the stream's, as far as readers look: all images, and one that failed."""
    features = pa.array([*FEATURES.tolist(), None], pa.list_(pa.float32()))
    rows = {"path": [*PATHS, "file:///images/Kiwi/cut.jpg"], "label": [*LABELS, "Kiwi"], "features": features}
    deltalake.write_deltalake(f"{root}/features", pa.table(rows | {"error": [*[None] * 24, "truncated"]}))


def expected(root):
    """Path → label and reduced features."""
    reduced = publication.load_reduction(root, "v000002").transform(FEATURES)
    return dict(zip(PATHS, zip(LABELS, reduced, strict=True), strict=True))


def run(name, **given):
    """What the snippet leaves in `frame` or `vectors`, once the folder of the current version is known."""
    if "current" in SNIPPETS[name]:
        exec(SNIPPETS["import, and take both. The folder of the current version"], given)
    exec(SNIPPETS[name], given)
    return given.get("frame", given.get("vectors"))


def search(reader, **given):
    """The ten nearest images, by what the page says of a reader, as it leaves them in `nearest`."""
    exec(OF_FEATURES[reader], given)
    exec(OF_FEATURES[_search_of(reader)], given)
    return given["nearest"]


def _search_of(reader):
    return next(name for name in OF_FEATURES if name.startswith(f"Search with {reader}"))


def nearest_to(query):
    """Paths and distances of the ten nearest, by NumPy."""
    distance = np.sqrt(((FEATURES.astype(float) - query) ** 2).sum(axis=1))
    order = np.argsort(distance)[:10]
    return list(PATHS[order]), distance[order]


def assert_same(rows, wanted):
    assert len(rows) == len(wanted)
    assert {path: label for path, label, _ in rows} == {path: label for path, (label, _) in wanted.items()}
    for path, _, vector in rows:
        np.testing.assert_array_equal(np.asarray(vector, np.float32), wanted[path][1])


def assert_nearest(rows, query):
    paths, distances = nearest_to(query)
    assert [row[0] for row in rows] == paths
    np.testing.assert_allclose([row[2] for row in rows], distances, rtol=1e-5, atol=1e-5)
