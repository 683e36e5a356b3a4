"""Finds labels that look alike, most likely one label that was mistyped. Standard library only."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def listed(labels: Iterable[str], most: int = 3) -> str:
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
