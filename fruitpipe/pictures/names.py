"""What the name of an image says: its label, and whether it is one at all. Standard library only."""

from __future__ import annotations

import re
from fnmatch import translate


def label(path: str) -> str:
    """The name of the folder that holds the image: ``s3://b/fruit/Kiwi/0.jpg`` → ``Kiwi``; none in a bare bucket."""
    _, _, inside = path.partition("://")
    return inside.split("/")[-2] if path.startswith("file:") or inside.count("/") > 1 else ""


def matcher(glob: str) -> re.Pattern[str]:
    """A pattern for whole file names that match `glob`, as Hadoop reads it but in upper and lower case alike."""
    return re.compile("|".join(translate(plain) for plain in _alternatives(glob)), re.IGNORECASE)


def _alternatives(glob: str) -> list[str]:
    """``*.{jpg,png}`` → ``*.jpg``, ``*.png``; braces may nest."""
    match = re.search(r"\{([^{}]*)\}", glob)
    if not match:
        return [glob]
    chosen = (glob[: match.start()] + choice + glob[match.end() :] for choice in match[1].split(","))
    return [plain for one in chosen for plain in _alternatives(one)]
