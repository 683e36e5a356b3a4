"""What the features table must hold, worked out from the images themselves by the plainest means: no Spark, no stream."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fruitpipe.extractor.inference import ModelFile, network_for
from fruitpipe.pictures.decoding import decode
from fruitpipe.settings import default_model

COLUMNS = ("path", "label", "length", "sha256", "error", "features")
Row = tuple[str, str, int, str, str | None, str | None]


def expected_rows(prefix: str, bodies: Mapping[str, bytes], bad: Mapping[bytes, str]) -> list[Row]:
    """The rows of the images with these URIs below a prefix, and with these bytes, sorted.

    `bad` names the reasons of those bytes that are no picture.
    """
    return sorted(_expected(prefix, path, body, bad.get(body)) for path, body in bodies.items())


def actual_rows(table: Any) -> list[Row]:
    """The same columns of a features table, a Spark DataFrame, sorted; features as a digest."""
    return rows_of(table.select(*COLUMNS).toArrow())


def rows_of(rows: Any) -> list[Row]:
    """The same of a table in Arrow."""
    features = (None if vector is None else _digest(vector) for vector in rows["features"].to_numpy(zero_copy_only=False))
    return sorted(zip(*(rows[name].to_pylist() for name in COLUMNS[:-1]), features, strict=True))


def differences(expected: Iterable[Row], actual: Iterable[Row]) -> str:
    """The first few rows that are in one list and not in the other, or twice in one; nothing where they are equal."""
    expected, actual = sorted(expected), sorted(actual)
    if expected == actual:
        return ""
    missing, surplus = sorted(set(expected) - set(actual)), sorted(set(actual) - set(expected))
    return f"{len(expected)} rows expected, {len(actual)} found; missing {missing[:3]}; surplus {surplus[:3]}"


def files(folder: Path, *suffixes: str) -> dict[str, bytes]:
    """The bytes of each file below a folder that counts as an image, by its URI."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in suffixes)
    return {f"file://{path}": path.read_bytes() for path in found}


@functools.cache
def vector_of(body: bytes) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The extractor's vector, (1280,) float32."""
    return network_for(ModelFile.load(default_model()))(decode(body).pixels)


def _expected(prefix: str, path: str, body: bytes, reason: str | None) -> Row:
    label = path.removeprefix(f"{prefix}/").rpartition("/")[0].rpartition("/")[2]
    features = None if reason else _digest(vector_of(body))
    return path, label, len(body), hashlib.sha256(body).hexdigest(), reason, features


def _digest(vector: Any) -> str:
    return hashlib.sha256(np.asarray(vector, np.float32).tobytes()).hexdigest()
