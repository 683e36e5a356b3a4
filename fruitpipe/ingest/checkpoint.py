"""Reads Spark's checkpoint of the stream: which manifests it has read. Its files are JSON lines after a format version.

| file | number | says |
|---|---|---|
| `commits/N` | of a batch of the query | the batch is committed |
| `offsets/N` | of a batch of the query | a line of metadata, then a line a source: its offset (`{"logOffset": M}`) |
| `sources/0/M` | of an entry of the source's own log | the files that the source took with that entry, a line each |
| `sources/0/M.compact` | the same | every tenth: all entries so far |

The two numberings differ: a batch of the query may take no new file, and then the source writes no entry. `batchId` in a line of
`sources/0` is the second one, whatever its name: Spark's `FileStreamSource.fetchMaxOffset` counts its log's entries up and
writes that number into each `FileEntry`. So it is compared with `logOffset`, and never with the number of a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.root import layout

MANIFESTS = "0"  # the number of the source that reads the manifests


def place(root: str) -> str:
    """The URI of the stream's checkpoint."""
    return objects.join(layout.folder(root, "checkpoints"), "ingest")


def manifests_read(checkpoint: str) -> set[str]:
    """The URIs of the manifests whose lines are all committed."""
    done = [int(name) for name in objects.children(objects.join(checkpoint, "commits")) if name.isdigit()]
    if not done:
        return set()
    last_entry = _last_entry_of(checkpoint, batch=max(done))
    files = _files_taken(objects.join(checkpoint, "sources", MANIFESTS))
    return {objects.canonical(unquote(file["path"])) for file in files if file["batchId"] <= last_entry}


def is_old(checkpoint: str, days: float) -> bool:
    """Whether the checkpoint was begun more than `days` ago. Its list of files read never shrinks."""
    begun = [stat for stat in objects.list_all(objects.join(checkpoint, "metadata")) if objects.name(stat.path) == "metadata"]
    return bool(begun) and begun[0].modification_time <= datetime.now(UTC) - timedelta(days=days)


def is_damaged(checkpoint: str) -> bool:
    """Whether its `metadata`, the query's id, is lost, without which Spark does not start."""
    children = objects.children(checkpoint)
    return "offsets/" in children and "metadata" not in children


def drop(checkpoint: str) -> None:
    """Removes the checkpoint. `commits` goes first, so that after a kill here no manifest counts as read that is not."""
    objects.delete_all(objects.join(checkpoint, "commits"))
    objects.delete_all(checkpoint)


def _last_entry_of(checkpoint: str, batch: int) -> int:
    """The last entry of the manifest source's log that a batch of the query took; -1 for none."""
    uri = objects.join(checkpoint, "offsets", str(batch))
    with _understood(uri):
        _metadata, manifests, *_others = _lines(uri)
        return int(manifests.get("logOffset", -1))


def _files_taken(log: str) -> list[dict[str, Any]]:
    """The entries of a source's log, one a file: `path`, and as `batchId` the number of the entry that took it."""
    names = [name for name in objects.children(log) if name.removesuffix(".compact").isdigit()]
    compact = max((int(name.removesuffix(".compact")) for name in names if name.endswith(".compact")), default=-1)
    since = [name for name in names if name.isdigit() and int(name) > compact]
    wanted = [f"{compact}.compact"] * (compact >= 0) + since
    return [entry for name in wanted for entry in _entries(objects.join(log, name))]


def _entries(uri: str) -> list[dict[str, Any]]:
    with _understood(uri):
        return [{"path": str(entry["path"]), "batchId": int(entry["batchId"])} for entry in _lines(uri)]


@contextmanager
def _understood(uri: str) -> Iterator[None]:
    """Raises Damaged for what is not as Spark writes it."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, NotFound) as error:
        raise Damaged(
            f"{uri}: is not as Spark wrote it ({type(error).__name__}: {error}); remove {uri.rpartition('/checkpoints/')[0]}/"
            "checkpoints while no stream runs: a new one begins, and nothing is computed twice"
        ) from error


def _lines(uri: str) -> list[dict[str, Any]]:
    """The JSON of each line except the first; `{}` for `-`, a source without an offset yet."""
    return [json.loads(line) if line != "-" else {} for line in objects.read(uri).decode().splitlines()[1:]]
