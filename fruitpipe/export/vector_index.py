"""A version as an index of Amazon S3 Vectors: a vector an image, upserted and deleted with the image's URI as its key.

    s3vectors://BUCKET/NAME  →  the index NAME-v000012, where v000012 is the version's basis

Vectors of two bases cannot be compared, so each basis has an index of its own, and that of the one before goes when the new one
is whole. Within a basis only what changed is written. A vector's metadata are `label`, `basis`, the `version` that it was written
with, and `digest`, by which the next run sees whether it changed.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from fruitpipe.errors import WrongUsage
from fruitpipe.export.vectors_client import AT_ONCE, Index
from fruitpipe.refit import version_files
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fruitpipe.export.described import Described
    from fruitpipe.export.register import Export

SCHEME = "s3vectors://"
PLACE = re.compile(r"s3vectors://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([a-z0-9][a-z0-9.-]{0,53})")  # and -v000012: 63 at most
MOST_NUMBERS = 4096
MOST_AT_ONCE = 600_000  # numbers of one request, 20 characters each: it may have 20 MiB
LONGEST_KEY = 1024


def canonical(to: str) -> str:
    """The one spelling of a place. Raises WrongUsage for names that S3 Vectors does not take."""
    if not PLACE.fullmatch(to.rstrip("/")):
        raise WrongUsage(
            f"{to}: give s3vectors://BUCKET/NAME, of small letters, digits, hyphens and dots, NAME of at most 54, as an index is "
            "called NAME-v000012"
        )
    return to.rstrip("/")


def folder(place: str, described: Described, /) -> str:
    """The name of the version's index."""
    return f"{place.rpartition('/')[2]}-{described.basis}"


def check(new: Export, described: Described, *, is_known: bool) -> None:
    """Raises WrongUsage where the version's index cannot be, or is there and not this root's."""
    if described.facts["k"] > MOST_NUMBERS:
        raise WrongUsage(
            f"{described.version} has vectors of {described.facts['k']} numbers, and S3 Vectors takes {MOST_NUMBERS} at "
            f"the most; run fruitpipe refit --root {described.root} --components {MOST_NUMBERS}"
        )
    if not is_known and _index(new).exists():
        raise WrongUsage(
            f"{new.uri} is there already, and not in the list of {described.root}; give another name, or delete it where it is "
            "this root's, whose list was lost: aws s3vectors delete-index"
        )


def write(new: Export, described: Described) -> tuple[int, str]:
    """Makes the index hold the version's vectors and no others; returns their number, and what was done. Raises Damaged."""
    index, batch_size = _index(new), max(1, min(AT_ONCE, MOST_AT_ONCE // described.facts["k"]))
    if not index.exists():
        index.create(described.facts["k"])
    there = {key: metadata.get("digest") for key, metadata in index.listed()}
    rows, written, seen = 0, 0, set[str]()
    for vectors in _vectors(described):
        rows += len(vectors)
        seen.update(one["key"] for one in vectors)
        changed = [one for one in vectors if there.get(one["key"]) != one["metadata"]["digest"]]
        for first in range(0, len(changed), batch_size):
            index.put(changed[first : first + batch_size])
        written += len(changed)
    version_files.check_rows(described.folder, rows, described.facts)
    gone = sorted(there.keys() - seen)
    index.delete(gone)
    return rows, f"{written} vectors written, {len(gone)} deleted"


def remove(old: Export) -> None:
    """Deletes the whole index."""
    _index(old).drop()


def _index(export: Export) -> Index:
    return Index(export.place.split("/")[2], export.folder)


def _vectors(described: Described) -> Iterator[list[dict[str, Any]]]:
    """What PutVectors takes of the version's rows, some at a time. Raises Damaged."""
    for file in vector_files.listed(described.folder):
        for batch in vector_files.rows_at(file.uri, "pca_features"):
            rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            yield [_vector(described, *row) for row in rows]


def _vector(described: Described, path: str, label: str, numbers: list[float]) -> dict[str, Any]:
    digest = hashlib.sha256(repr((label, numbers)).encode()).hexdigest()[:16]
    told = {"basis": described.basis, "version": described.version, "digest": digest}
    told |= {"label": label} if label else {}
    if len(path) <= LONGEST_KEY:
        return {"key": path, "data": {"float32": numbers}, "metadata": told}
    key = f"sha256:{hashlib.sha256(path.encode()).hexdigest()}"
    return {"key": key, "data": {"float32": numbers}, "metadata": told | {"path": path}}
