"""Attempts to publish small versions, made without Spark, and what a reader then sees."""

from __future__ import annotations

import numpy as np

from fruitpipe import objects
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import publication, version_model
from fruitpipe.refit.version_model import Model
from tests.versions import ROWS


def model(**facts):
    labels = np.array(["Kiwi", "Lemon"] * 15, object)
    summary = Summary.of(ROWS, labels, np.array([f"file:///{number}.jpg" for number in range(30)], object))
    return Model(fit(summary.moments, components=3), summary, facts)


def write(root, version):
    objects.write(objects.join(publication.reduced_uri(root, version), "part-0.parquet"), version.encode())
    version_model.save_model(root, version, model(version=version))


def publish(root, meanwhile=lambda: None):
    with publication.attempt(root) as version:
        write(root, version)
        meanwhile()
        publication.switch(root, version)
    return version


def seen_by_a_reader(root):
    """The current version, if it is whole: its data and its model name the same version."""
    version = publication.current(root)
    assert objects.read(objects.join(publication.reduced_uri(root, version), "part-0.parquet")).decode() == version
    assert version_model.load_model(root, version).facts["version"] == version
    return version


def folders(root):
    return [objects.children(objects.join(root, kind)) for kind in ("models", "reduced")]
