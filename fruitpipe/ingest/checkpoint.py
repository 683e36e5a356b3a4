"""What a stream's checkpoint says it has read. Spark's files: JSON lines after a line with the version of their format.

`commits/N` says that batch N is done, `offsets/N` how far its sources had come then, `sources/0/M` which files the first of them
took M-th; every tenth of those, `M.compact`, repeats all before it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from fruitpipe import objects

MANIFESTS = "0"  # the number of the source that reads the manifests


def manifests_read(checkpoint: str) -> set[str]:
    """The URIs of the manifests of which all is committed."""
    commits = [int(name) for name in objects.children(objects.join(checkpoint, "commits")) if name.isdigit()]
    if not commits:
        return set()
    _, of_manifests, *_ = _lines(objects.join(checkpoint, "offsets", str(max(commits))))
    behind = of_manifests.get("logOffset", -1)
    taken = _taken(objects.join(checkpoint, "sources", MANIFESTS))
    return {objects.canonical(unquote(entry["path"])) for entry in taken if entry["batchId"] <= behind}


def is_old(checkpoint: str, days: float) -> bool:
    """Whether it was begun more than `days` ago; the list of what it has read never shrinks."""
    begun = [stat for stat in objects.list_all(objects.join(checkpoint, "metadata")) if objects.name(stat.path) == "metadata"]
    return bool(begun) and begun[0].modification_time <= datetime.now(UTC) - timedelta(days=days)


def is_damaged(checkpoint: str) -> bool:
    """Whether it has lost its identity, without which Spark does not start."""
    children = objects.children(checkpoint)
    return "offsets/" in children and "metadata" not in children


def drop(checkpoint: str) -> None:
    """Removes it. What says that something is done goes first: whatever is killed here, nothing counts as read that is not."""
    objects.delete_all(objects.join(checkpoint, "commits"))
    objects.delete_all(checkpoint)


def _taken(log: str) -> list[dict[str, Any]]:
    names = [name for name in objects.children(log) if name.removesuffix(".compact").isdigit()]
    compact = max((int(name.removesuffix(".compact")) for name in names if name.endswith(".compact")), default=-1)
    since = [name for name in names if name.isdigit() and int(name) > compact]
    wanted = [f"{compact}.compact"] * (compact >= 0) + since
    return [entry for name in wanted for entry in _lines(objects.join(log, name))]


def _lines(uri: str) -> list[dict[str, Any]]:
    """The JSON of each line but the first; `-` stands for a source that had nothing yet."""
    return [json.loads(line) if line != "-" else {} for line in objects.read(uri).decode().splitlines()[1:]]
