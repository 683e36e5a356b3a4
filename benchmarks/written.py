"""What an engine of the comparison wrote, read back: a row an image, with its label and the vector that the product computes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from benchmarks import engine
from fruitpipe.extractor.mobilenet import FEATURES
from fruitpipe.settings import default_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHECKED = 16  # images whose features are computed once more
TOLERANCE = 1e-4  # of a feature, which is 0 to 6: Keras adds up in another order than LiteRT


class Rows(NamedTuple):
    """Paths as they were written, labels, and (n, 1280) float32."""

    paths: list[str]
    labels: list[str]
    features: NDArray[np.float32]


def fault(rows: Rows, images: Path, *, is_in_full: bool = False, least_cosine: float | None = None) -> str | None:
    """What is wrong with `rows` as those of all images in the folder, or None.

    is_in_full: whether their large JPEGs were decoded in full. least_cosine: to the product's vectors, where an engine has a
    decoder of its own; else each feature is the same.
    """
    paths, files = [_file(path) for path in rows.paths], sorted(map(str, images.resolve().glob("*/*.jpg")))
    if sorted(paths) != files:
        return f"{len(paths)} rows of {len(set(paths))} images, expected one for each of {len(files)}"
    if rows.labels != [engine.label(path) for path in paths]:
        return "a label is not the name of its image's folder"
    own = engine.Features(default_model(), in_full=is_in_full)
    for number in np.linspace(0, len(files) - 1, CHECKED).astype(int):
        expected = own(Path(paths[number]).read_bytes())
        if wrong := _difference(rows.features[number], expected, least_cosine):
            return f"{paths[number]}: {wrong}"
    return None


def delta(out: Path) -> Rows:
    """A Delta table."""
    return _rows(DeltaTable(out).to_pyarrow_table(columns=["path", "label", "features"]))


def features_table(out: Path) -> Rows:
    """The product's table under its root."""
    return delta(out / "features")


def parquet(out: Path) -> Rows:
    """A folder of Parquet files."""
    return _rows(ds.dataset(out, format="parquet").to_table(columns=["path", "label", "features"]))


def cocoindex(out: Path) -> Rows:
    """A table of SQLite with vectors as bytes."""
    with sqlite3.connect(out / "features.sqlite") as database:
        rows = database.execute("SELECT path, label, features FROM features").fetchall()
    return _gathered(rows, lambda features: np.frombuffer(features, np.float32))


def datachain(out: Path) -> Rows:
    """The newest version of a dataset in DataChain's own SQLite, with vectors as JSON."""
    with sqlite3.connect(out / ".datachain" / "db") as database:
        tables = "SELECT name FROM sqlite_master WHERE name LIKE 'ds\\_%\\_features\\_%' ESCAPE '\\' ORDER BY rowid DESC"
        (name,) = database.execute(tables).fetchone()
        rows = database.execute(f'SELECT row__path, row__label, row__features FROM "{name}"').fetchall()
    return _gathered(rows, lambda features: np.array(json.loads(features), np.float32))


def _rows(table: pa.Table) -> Rows:
    vectors: Any = table["features"].combine_chunks()
    features = vectors.flatten().to_numpy().reshape(-1, FEATURES)
    paths: list[Any] = table["path"].to_pylist()
    labels: list[Any] = table["label"].to_pylist()
    return Rows(paths, labels, features)


def _gathered(rows: list[tuple[str, str, Any]], vector: Any) -> Rows:
    paths, labels, features = zip(*rows, strict=True)
    return Rows(list(paths), list(labels), np.stack([vector(one) for one in features]))


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32], least_cosine: float | None) -> str | None:
    """How a vector differs from the product's, if by too much; both (1280,)."""
    if least_cosine is None:
        off = float(np.abs(found - expected).max())
        return None if off <= TOLERANCE else f"a feature differs by {off:.2g} from the product's, more than {TOLERANCE}"
    cosine = float(found @ expected / (np.linalg.norm(found) * np.linalg.norm(expected)))
    return None if cosine >= least_cosine else f"the cosine to the product's vector is {cosine:.3f}, less than {least_cosine}"


def _file(path: str) -> str:
    """The file that a path or a file URI names."""
    return unquote(urlparse(path).path) if path.startswith("file:") else path
