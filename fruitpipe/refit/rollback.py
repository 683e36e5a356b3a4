"""Makes an earlier version the current one, and holds it there until the rollback is released.

A hold is a field of the pointer. While it is set, refits publish their versions but do not switch to them: else a refit of
the schedule, or one that is running, would undo the rollback.
"""

from __future__ import annotations

from dataclasses import replace

from fruitpipe.errors import Conflict, NotFound
from fruitpipe.refit import pointer, publication
from fruitpipe.refit.pointer import Hold, Pointer


def roll_back(root: str, version: str) -> Pointer:
    """Makes a published version the current one, and holds it there. Returns the pointer as it is then.

    Raises NotFound for a version that is not published, Damaged for one of which a file is missing or cut, and Conflict where
    other writers come in between each time.
    """
    wanted, at = pointer.get(root), pointer.now()
    if version not in wanted.versions:
        raise NotFound(f"{version} is not a published version of {root}; there are {', '.join(wanted.versions)}")
    publication.check_files(root, version)

    def point_back(found: Pointer | None) -> Pointer:
        if found is None or version not in found.versions:
            raise Conflict(f"{version} was pruned by another run just now; choose another version")
        if found.held and found.version == version:
            return found
        return replace(found, version=version, held=Hold(at, found.newest), switched_at=at)

    return pointer.update(root, point_back)


def release(root: str) -> Pointer:
    """Ends the hold; the current version stays until the next refit switches. Returns the pointer as it was before.

    Raises NotFound where nothing is published yet, Conflict where other writers come in between each time.
    """
    before = pointer.get(root)
    pointer.update(root, lambda found: found and replace(found, held=None))
    return before


def told(found: Pointer, root: str) -> str:
    """A phrase for people: since when a rollback holds readers at a version, and how to end it; empty without one."""
    if found.held is None:
        return ""
    since = found.held.since[:16].replace("T", " ")
    return f"{found.version} is held since {since} UTC, until fruitpipe release --root {root}"
