"""Finds the manifests that no committed batch has read yet, counts their lines, and hashes the images that they name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from fruitpipe import objects
from fruitpipe.ingest import checkpoint
from fruitpipe.root import layout
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import BELOW, HashIndex, Spool
from fruitpipe.table.row_store import Rows

READERS = 16  # manifests read at the same time
Made = TypeVar("Made")


def unread(root: str, checkpoint_uri: str, writer: str = "") -> list[str]:
    """URIs of the manifests that no committed batch of the checkpoint has read, without hidden ones, which Spark never reads.

    writer: only those of this writer, by their names; all where it is empty.
    """
    read, events = checkpoint.manifests_read(checkpoint_uri), layout.folder(root, "events")
    there = (stat.path for stat in objects.list_all(events) if _is_manifest(stat.path.removeprefix(f"{events}/")))
    return [uri for uri in there if uri not in read and (not writer or f"-{writer}" in objects.name(uri))]


def _is_manifest(name: str) -> bool:
    """Whether Spark reads a file below the folder of manifests: it hides names, of folders too, that begin with `.` or `_`."""
    return name.endswith(".jsonl") and not any(part.startswith((".", "_")) for part in name.split("/"))


def count_lines(uris: list[str]) -> int:
    """How many lines these manifests have together."""
    return sum(_each(uris, lambda body: body.count(b"\n")))


def named_in(uris: list[str]) -> HashIndex:
    """The images that these manifests say were created."""
    spool = Spool()
    for pairs in _each(uris, _hashes):
        spool.add(Rows(pairs[:, 0], pairs[:, 1], np.full(len(pairs), BELOW, np.uint8)))
    return spool.index()


def _each(uris: list[str], made_of: Callable[[bytes], Made]) -> Iterator[Made]:
    """The results of `made_of` for each manifest's bytes, on READERS threads, so that no more than that many are in memory."""
    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(lambda uri: made_of(objects.read(uri)), uris)


def _hashes(body: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Hashes of path, and of path and etag: (images, 2) int64. A line that is no event is skipped; its batch reports it."""
    pairs = [pair for line in body.splitlines() if (pair := _pair(line))]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _pair(line: bytes) -> tuple[int, int] | None:
    try:
        fields = json.loads(line)
        path, etag = fields["path"], fields.get("etag") or ""
        image = path_hashes.of_image(path, etag, fields.get("archived") is True)
        return (path_hashes.of_path(path), image) if fields["event"] == "created" else None
    except (ValueError, TypeError, KeyError, AttributeError):  # no JSON, no object, or of other types
        return None
