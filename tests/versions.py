"""Published versions as tests want them, made without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fruitpipe import objects
from fruitpipe.classifier import classifier
from fruitpipe.extractor.inference import ModelFile, Network, fingerprint
from fruitpipe.pictures.decoding import decode
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import publication, version_files, version_model
from fruitpipe.refit.on_spark import vectors_of
from fruitpipe.refit.version_model import Model
from fruitpipe.settings import default_model
from fruitpipe.table import vector_files
from tests.oracle import vector_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

EXTRACTOR = "0123456789abcdef"
ROWS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


def publish(root: str) -> None:
    """A version of ROWS, as they are, in three files, with a model and its facts."""
    with publication.attempt(root) as version:
        folder = publication.reduced_uri(root, version)
        for number in range(3):
            names = pa.array([f"file:///{number}-{row}.jpg" for row in range(10)])
            columns = [names, pa.array(["Kiwi"] * 10), vectors_of(ROWS[10 * number : 10 * number + 10])]
            batch = pa.RecordBatch.from_arrays(columns, ["path", "label", "pca_features"])
            vector_files.write([batch], objects.join(folder, f"part-{number}.parquet"))
        labels, paths = (
            np.array(["Kiwi", "Lemon", "Plum"] * 10, object),
            np.array([f"file:///{row}.jpg" for row in range(30)], object),
        )
        summary = Summary.of(ROWS, labels, paths)
        named = classifier.fit(summary, lambda: (ROWS, labels))
        facts = {"version": version, "rows": 30, "labels": 3, "k": 3, "variance_kept": 0.9, "files": version_files.files(folder)}
        facts |= {"basis": version, "continuity": None, "created_at": "2026-11-05T10:00:00+00:00", "extractor": EXTRACTOR}
        facts["classifier"] = named.facts()
        version_model.save_model(root, version, Model(fit(summary.moments, components=3), summary, facts, named))
        publication.switch(root, version)


def publish_rows(root: str, reduced: dict[str, NDArray[np.float32]], basis: str | None = None) -> str:
    """A version with these reduced features by path, a file for each label, which is the folder; returns its name.

    basis: the version whose components it has, else it has its own. Its model is that of ROWS.
    """
    named = np.array(["Kiwi", "Lemon", "Plum"] * 10, object)
    summary = Summary.of(ROWS, named, np.array([f"file:///{row}.jpg" for row in range(30)], object))
    label_of = {path: path.split("/")[-2] for path in reduced}
    with publication.attempt(root) as version:
        folder = publication.reduced_uri(root, version)
        for label in sorted(set(label_of.values())):
            paths = [path for path in reduced if label_of[path] == label]
            columns = [pa.array(paths), pa.array([label] * len(paths)), vectors_of(np.stack([reduced[path] for path in paths]))]
            batch = pa.RecordBatch.from_arrays(columns, ["path", "label", "pca_features"])
            vector_files.write([batch], objects.join(folder, f"part-{label}.parquet"))
        facts = {"version": version, "basis": basis or version, "rows": len(reduced), "k": len(next(iter(reduced.values())))}
        facts |= {"files": version_files.files(folder), "created_at": "2026-11-05T10:00:00+00:00", "extractor": EXTRACTOR}
        version_model.save_model(root, version, Model(fit(summary.moments, components=3), summary, facts))
        publication.switch(root, version)
    return version


def publish_pictures(
    root: str,
    paths: Sequence[Path],
    extractor: str | None = None,
    preprocessing: dict[str, str] | None = None,
    model: ModelFile | None = None,
) -> None:
    """A version of the pictures in local files, with folders as labels, in two files; by the vectors of `model`, or our own's.

    preprocessing: what its facts say of the parts that the rows went through.
    """
    vector = other_vectors(model) if model else vector_of
    features = np.stack([vector(path.read_bytes()) for path in paths])
    made_by = extractor or fingerprint(model or ModelFile.load(default_model()))
    publish_features(root, paths, features, {"extractor": made_by, "preprocessing": preprocessing or {}})


def publish_features(root: str, paths: Sequence[Path], features: NDArray[np.float32], more: dict[str, Any]) -> None:
    """A version of local files with these (n, 1280) features, with folders as labels, in two files; `more` are facts of it."""
    labels, names = np.array([path.parent.name for path in paths], object), np.array([f"file://{path}" for path in paths], object)
    summary = Summary.of(features, labels, names)
    reduction, named = fit(summary.moments), classifier.fit(summary, lambda: (features, labels))
    with publication.attempt(root) as version:
        folder = publication.reduced_uri(root, version)
        columns = [pa.array(names.tolist()), pa.array(labels.tolist()), vectors_of(reduction.transform(features))]
        batch = pa.RecordBatch.from_arrays(columns, ["path", "label", "pca_features"])
        for number, part in enumerate((batch.slice(0, 10), batch.slice(10))):
            vector_files.write([part], objects.join(folder, f"part-{number}.parquet"))
        facts = {"version": version, "rows": len(paths), "files": version_files.files(folder), "classifier": named.facts()} | more
        facts |= {"k": reduction.k, "basis": version, "continuity": None, "created_at": "2026-11-05T10:00:00+00:00"}
        version_model.save_model(root, version, Model(reduction, summary, facts, named))
        publication.switch(root, version)


def other_vectors(model: ModelFile) -> Callable[[bytes], NDArray[np.float32]]:
    """What another network gives for a picture's bytes."""
    extract = Network(model.body, model.preprocessing)
    return lambda body: extract(decode(body, model.preprocessing).pixels)
