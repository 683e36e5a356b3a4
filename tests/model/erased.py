"""What must be nowhere once an image was erased: its plain name, and its vector unless another image has the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.raw_reader import hits

if TYPE_CHECKING:
    from tests.model.bucket import Bucket
    from tests.model.rows import Row


def check_names(bodies: Iterator[tuple[str, bytes]], uris: Iterable[str]) -> None:
    """None of the images is named in a file's text; of a Parquet file with a column of paths that is the text."""
    needles = [uri.partition("://")[2].encode() for uri in uris]
    for uri, body in bodies:
        paths = pq.read_table(pa.BufferReader(body)) if body.startswith(b"PAR1") else None
        text = body if paths is None else str(paths["path"].to_pylist() if "path" in paths.column_names else paths).encode()
        for needle in needles:
            assert needle not in text, f"{uri} still names {needle.decode()}"


def check_vectors(bodies: Iterator[tuple[str, bytes]], vectors: Iterable[bytes]) -> None:
    """None of the vectors is in a file, by a reader of the tests' own."""
    sought = tuple(vectors)
    assert not (holding := hits(bodies, [], sought) if sought else []), f"{holding}: an erased image's vector"


def vector_alone(name: str, rows: Iterable[Row], bucket: Bucket) -> dict[str, bytes]:
    """The vector in an image's row, by its SHA-256, where no other image has these bytes: in the bucket, or by its row."""
    by_path = {row["path"]: row for row in rows}
    row = by_path.pop(bucket.uri(name), None)
    others = {one["sha256"] for one in by_path.values()}
    others |= {hashlib.sha256(one.body).hexdigest() for other, one in bucket.objects.items() if other != name}
    is_alone = row and row["features"] is not None and row["sha256"] not in others
    return {row["sha256"]: np.float32(row["features"]).tobytes()} if row and is_alone else {}
