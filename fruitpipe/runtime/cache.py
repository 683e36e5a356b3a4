"""The cache folder, outside the checkout, for everything that is fetched or built once on a machine."""

from __future__ import annotations

import os
from pathlib import Path

from fruitpipe.errors import MissingRequirement


def folder() -> Path:
    """The folder that FRUITPIPE_CACHE names, else ~/.cache/fruitpipe; it may not exist yet."""
    return Path(os.environ.get("FRUITPIPE_CACHE") or Path.home() / ".cache" / "fruitpipe")


def holds(path: Path) -> bool:
    """Whether something lies there; no in a folder that may not be entered, for which `Path.exists` raises up to Python 3.13.

    What is then to be made there raises, in a line.
    """
    return os.path.exists(path)


def made(*parts: str) -> Path:
    """Returns a folder in the cache, and makes it if needed. Raises MissingRequirement where it cannot be made or written."""
    made = folder().joinpath(*parts)
    try:
        made.mkdir(parents=True, exist_ok=True)
        writable = os.access(made, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise MissingRequirement(f"{made} cannot be written; name a folder that can be in FRUITPIPE_CACHE")
    return made
