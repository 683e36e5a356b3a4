"""Globs, the patterns that say which file names are images'. Standard library only."""

from __future__ import annotations

import re
from fnmatch import translate


def matcher(glob: str) -> re.Pattern[str]:
    """A pattern for whole file names that match `glob`, as in Hadoop, but in upper and lower case."""
    return re.compile("|".join(translate(plain) for plain in _alternatives(glob)), re.IGNORECASE)


def folders(prefix: str, glob: str) -> tuple[str, ...]:
    """An image prefix where no image's name may be told: itself, or nothing where it is a single image."""
    return () if matcher(glob).match(prefix.rpartition("/")[2]) else (prefix,)


def _alternatives(glob: str) -> list[str]:
    """``*.{jpg,png}`` → ``*.jpg``, ``*.png``; braces may nest."""
    match = re.search(r"\{([^{}]*)\}", glob)
    if not match:
        return [glob]
    chosen = (glob[: match.start()] + choice + glob[match.end() :] for choice in match[1].split(","))
    return [plain for one in chosen for plain in _alternatives(one)]
