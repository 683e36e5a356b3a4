"""Patterns for the names of images, and labels that look alike. Standard library only."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import translate


def matcher(glob: str) -> re.Pattern[str]:
    """A pattern for whole file names that match `glob`, as in Hadoop, but in upper and lower case."""
    return re.compile("|".join(translate(plain) for plain in _alternatives(glob)), re.IGNORECASE)


def look_alikes(labels: Iterable[str], most: int = 3) -> str:
    """Lists labels that differ by case, blanks or Unicode form alone, most likely by mistake: ``"Kiwi", "kiwi "``.

    At most `most` groups, separated by semicolons; escaped where they look the same on a screen. Empty without any.
    """
    groups = defaultdict(list)
    for label in labels:
        groups[" ".join(unicodedata.normalize("NFKC", label).casefold().split())].append(label)
    alike = [sorted(group) for group in groups.values() if len(group) > 1]
    more = f"; and {len(alike) - most} more" if len(alike) > most else ""
    return "; ".join(map(_told_apart, sorted(alike)[:most])) + more


def _told_apart(labels: list[str]) -> str:
    same = len({unicodedata.normalize("NFC", label) for label in labels}) < len(labels)
    return ", ".join(json.dumps(label, ensure_ascii=same) for label in labels)


def _alternatives(glob: str) -> list[str]:
    """``*.{jpg,png}`` → ``*.jpg``, ``*.png``; braces may nest."""
    match = re.search(r"\{([^{}]*)\}", glob)
    if not match:
        return [glob]
    chosen = (glob[: match.start()] + choice + glob[match.end() :] for choice in match[1].split(","))
    return [plain for one in chosen for plain in _alternatives(one)]
