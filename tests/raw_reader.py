"""Reads every byte under a place and looks for a name and for vectors: the tests' own, with nothing of the product in it."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq


def found_in(folder: str, name: str, *vectors: bytes) -> list[str]:
    """The files under a local folder in which `name`, or one of the vectors (float32), stands."""
    return hits(local_files(folder), [name], vectors)


def local_files(folder: str) -> Iterator[tuple[str, bytes]]:
    """Every file, hidden ones too."""
    for path in sorted(Path(folder.removeprefix("file://")).rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()


def s3_versions(client: Any, bucket: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Every version of every object, current or not; a delete marker is a name without bytes."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("DeleteMarkers", ()):
            yield found["Key"], b""
        for found in page.get("Versions", ()):
            version = found["VersionId"]
            yield found["Key"], client.get_object(Bucket=bucket, Key=found["Key"], VersionId=version)["Body"].read()


def hits(
    files: Iterator[tuple[str, bytes]], names: list[str], vectors: tuple[bytes, ...], beside: tuple[str, ...] = ()
) -> list[str]:
    """The files in whose name or bytes one of the names or vectors stands.

    beside: names of images that stay and that read like one of `names` when they are decoded, as a%20b.jpg and a b.jpg.
    """
    return [uri for uri, body in files if any(name in uri for name in names) or _holds(body, names, set(vectors), beside)]


def _holds(body: bytes, names: list[str], vectors: set[bytes], beside: tuple[str, ...]) -> bool:
    text = body.decode("utf-8", "replace")
    texts = [text]
    # Names in tables and arrays are as they are: a%20b.jpg is another image there than a b.jpg.
    if not body.startswith((b"PAR1", b"PK\x03\x04")):
        texts.append(unquote(functools.reduce(lambda left, other: left.replace(other, ""), beside, text)))
    rows: list[np.ndarray] = []
    if body.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(body))
        for column in ("features", "pca_features"):
            if column in table.column_names:
                rows += [np.float32(row.as_py()) for row in table[column] if row.is_valid]
                table = table.drop_columns([column])
        texts.append(str(table.to_pylist()))
    if body.startswith(b"PK\x03\x04"):
        arrays = np.load(io.BytesIO(body))
        texts += [str(arrays[key].tolist()) for key in arrays if arrays[key].dtype.kind == "U"]
        rows += [row for key in arrays if arrays[key].dtype.kind == "f" for row in np.atleast_2d(np.float32(arrays[key]))]
    if any(row.tobytes() in vectors for row in rows) or any(vector in body for vector in vectors):
        return True
    return any(name in text for text in texts for name in names)
