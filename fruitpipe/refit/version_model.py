"""A version's model: four files in the version's folder below ROOT/models, written and read back."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from fruitpipe import objects
from fruitpipe.classifier.classifier import Classifier
from fruitpipe.errors import Damaged, NotEnoughRows, NotFound
from fruitpipe.reduction.moments import npz, un_npz
from fruitpipe.reduction.pca import Reduction
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import version_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from fruitpipe.refit.pointer import Pointer

UNREADABLE = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error)  # of NumPy, of JSON, of a zip file
Parsed = TypeVar("Parsed")


@dataclass(frozen=True, eq=False)
class Model:
    """A version's model: the reduction, the summary of the rows that it knows, and the facts that `reduction.json` states.

    classifier: None where the rows allow none, and where a model is loaded, as `load_classifier` gives it.
    """

    reduction: Reduction
    summary: Summary
    facts: dict[str, Any]
    classifier: Classifier | None = None


def model_uri(root: str, version: str) -> str:
    """The folder of a version's model."""
    return objects.join(root, "models", version)


def save_model(root: str, version: str, model: Model) -> None:
    """Writes a version's model files, the facts last."""
    folder = model_uri(root, version)
    objects.write(objects.join(folder, "reduction.npz"), npz(model.reduction.arrays() | model.summary.arrays()))
    objects.write(objects.join(folder, "explained_variance.csv"), model.reduction.explained_variance_csv())
    if model.classifier:
        objects.write(objects.join(folder, "classifier.npz"), npz(model.classifier.arrays()))
    objects.write(objects.join(folder, "reduction.json"), json.dumps(model.facts, indent=2, ensure_ascii=False).encode())


def load_model(root: str, version: str) -> Model:
    """What `save_model` wrote. Raises NotFound, Damaged."""
    facts = load_facts(root, version)
    reduction, summary = _read_array_file(objects.join(model_uri(objects.canonical(root), version), "reduction.npz"), _arrays)
    return Model(reduction, summary, facts)


def load_basis(root: str, found: Pointer, version: str) -> Model:
    """The model of a published version, for one that goes on from it. Raises NotFound, Damaged.

    Its features version is the latest of which it is known to have all rows: the change feed of older ones may be removed by now.
    """
    model = load_model(root, version)
    until = max(model.facts["features_version"], found.holds_until(version))
    return replace(model, facts=model.facts | {"features_version": until})


def load_classifier(root: str, version: str) -> Classifier:
    """The classifier of a version. Raises NotFound, NotEnoughRows where the version's rows allowed none, Damaged."""
    facts = load_facts(root, version)
    if "classifier" not in facts:
        raise NotFound(f"{version} of {root} is of an earlier fruitpipe, without a classifier; run fruitpipe refit --root {root}")
    if facts["classifier"] is None:
        raise NotEnoughRows(f"{version} of {root} has no classifier ({facts['no_classifier']})")
    uri = objects.join(model_uri(objects.canonical(root), version), "classifier.npz")
    return _read_array_file(uri, lambda body: Classifier.from_arrays(un_npz(body), facts["classifier"]))


def load_facts(root: str, version: str) -> dict[str, Any]:
    """What `reduction.json` states of a version. Raises NotFound, Damaged."""
    return _read(objects.join(model_uri(objects.canonical(root), version), "reduction.json"), _facts)


def _facts(body: bytes) -> dict[str, Any]:
    facts: Any = json.loads(body)
    if not isinstance(facts, dict) or "version" not in facts:
        raise ValueError("it does not say of which version it is")
    return facts


def _arrays(body: bytes) -> tuple[Reduction, Summary]:
    arrays = un_npz(body)
    return Reduction.from_arrays(arrays), Summary.from_arrays(arrays)


def _read_array_file(uri: str, parse: Callable[[bytes], Parsed]) -> Parsed:
    """What is in a file beside `reduction.json`, which was written after it. Raises Damaged."""
    try:
        return _read(uri, parse)
    except NotFound as error:
        raise Damaged(f"{uri}: is missing; {_way_out(uri)}") from error


def _read(uri: str, parse: Callable[[bytes], Parsed]) -> Parsed:
    """What is in a file of a model. Raises NotFound, Damaged."""
    body = objects.read(uri)
    try:
        return parse(body)
    except (*UNREADABLE, KeyError) as error:
        raise Damaged(f"{uri}: does not read back ({error}); {_way_out(uri)}") from error


def _way_out(uri: str) -> str:
    return version_files.way_out(uri.rsplit("/", 3)[0])  # of ROOT/models/VERSION/FILE
