"""`<root>/reduced/latest.json`: which version readers get, and which are published at all.

Every write is conditional on the etag that was read, so that of two writers one is told and nothing is lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import Conflict, NotFound, WrongRoot

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 8


@dataclass(frozen=True)
class Pointer:
    """What the pointer says: the current version, and all that are published, oldest first."""

    version: str
    versions: tuple[str, ...]
    etag: str | None = None

    @property
    def newest(self) -> str:
        """The published version with the highest number; not the current one after a rollback."""
        return max(self.versions, key=number)


def uri(root: str) -> str:
    """Where the pointer lies."""
    return objects.join(objects.canonical(root), "reduced", "latest.json")


def number(version: str) -> int:
    """``v000012`` → 12."""
    return int(version.removeprefix("v"))


def find(root: str) -> Pointer | None:
    """What is published, or None where nothing is yet. Raises WrongRoot for a pointer that is not fruitpipe's."""
    try:
        body, etag = objects.read_with_etag(uri(root))
    except NotFound:
        return None
    try:
        content = json.loads(body)
        return Pointer(content["version"], tuple(content["versions"]), etag)
    except (ValueError, KeyError, TypeError) as error:
        raise WrongRoot(f"{uri(root)}: is no pointer of fruitpipe's ({len(body)} bytes); give a --root of its own") from error


def get(root: str) -> Pointer:
    """What is published. Raises NotFound where nothing is yet, WrongRoot."""
    found = find(root)
    if found is None:
        raise NotFound(f"{root}: no reduced features are published yet; run batch/refit.py --root {root} first")
    return found


def update(root: str, change: Callable[[Pointer | None], Pointer]) -> Pointer:
    """Writes what `change` makes of the present pointer, and asks it again where another writer came in between.

    Raises whatever `change` raises, and Conflict where other writers came in between all the time.
    """
    for _ in range(ATTEMPTS):
        found = find(root)
        wanted = change(found)
        if found and (wanted.version, wanted.versions) == (found.version, found.versions):
            return found  # done already: by a write of ours whose answer was lost, or by another hand
        try:
            objects.write(uri(root), _body(wanted), if_absent=found is None, if_etag=found.etag if found else None)
        except Conflict:
            continue
        return wanted
    raise Conflict(f"{uri(root)}: changed {ATTEMPTS} times while it was to be switched; run one writer at a time")


def _body(wanted: Pointer) -> bytes:
    content = {
        "version": wanted.version,
        "reduced": f"reduced/{wanted.version}",
        "model": f"models/{wanted.version}",
        "versions": list(wanted.versions),
        "switched_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    return json.dumps(content, indent=2).encode()
