"""Back to an earlier version, for as long as somebody wants it: a rollback holds until it is released.

A hold is a field of the pointer. While it stands, refits publish their versions beside the current one and switch nothing: else
the schedule's next refit, or one that is running, would bring back what was just taken away.
"""

from __future__ import annotations

from dataclasses import replace

from fruitpipe.errors import Conflict, NotFound
from fruitpipe.refit import pointer
from fruitpipe.refit.pointer import Hold, Pointer


def roll_back(root: str, version: str) -> Pointer:
    """Makes a published version the current one, and holds it there. Returns what the pointer says then.

    Raises NotFound for a version that is not published, Conflict where another writer was at it all the time.
    """
    wanted, at = pointer.get(root), pointer.now()
    if version not in wanted.versions:
        raise NotFound(f"{version} is not a published version of {root}; there are {', '.join(wanted.versions)}")

    def point_back(found: Pointer | None) -> Pointer:
        if found is None or version not in found.versions:
            raise Conflict(f"{version} was pruned by another run just now; choose another version")
        if found.held and found.version == version:
            return found
        return replace(found, version=version, held=Hold(at, found.newest), switched_at=at)

    return pointer.update(root, point_back)


def release(root: str) -> Pointer:
    """Ends the hold; the current version stays until the next refit switches. Returns what the pointer said before.

    Raises NotFound where nothing is published yet, Conflict where another writer was at it all the time.
    """
    before = pointer.get(root)
    pointer.update(root, lambda found: replace(found or before, held=None))
    return before


def told(found: Pointer, root: str) -> str:
    """A half sentence for people: since when readers are held at a version, and how that ends; empty where they are not."""
    if found.held is None:
        return ""
    since = found.held.since[:16].replace("T", " ")
    return f"{found.version} is held since {since} UTC, until fruitpipe release --root {root}"
