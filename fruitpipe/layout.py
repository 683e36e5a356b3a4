"""Where everything lies under the root, and whether a root is ours to write to."""

from __future__ import annotations

from fruitpipe import objects
from fruitpipe.errors import WrongRoot

FOLDERS = ("features", "events", "stale", "rejected", "checkpoints", "models", "reduced", "reports", "triggers", "erasures")

WRITER = "writer.json"
CLEARED = "cleared.json"  # when housekeeping last cleared away
EXAMPLES = 3


def folder(root: str, name: str) -> str:
    """The URI of one of FOLDERS under the root."""
    assert name in FOLDERS, name
    return objects.join(root, name)


def place(root: str, name: str) -> str:
    """The URI of a single object directly under the root."""
    return objects.join(root, name)


def check(root: str) -> None:
    """Raises WrongRoot where something lies under the root that fruitpipe did not put there."""
    foreign = [
        child
        for child in objects.children(root)
        if child.rstrip("/") not in (*FOLDERS, WRITER, CLEARED) and not child.startswith(".")
    ]
    if foreign:
        named = ", ".join(foreign[:EXAMPLES]) + (f" and {len(foreign) - EXAMPLES} more" if len(foreign) > EXAMPLES else "")
        raise WrongRoot(f"{root} holds {named}, which fruitpipe did not write; give an empty --root or one of its own")
