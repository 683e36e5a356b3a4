"""Finds images that may have been moved: a new one and a removed one of the same length, named by two events.

A common length costs nothing to compare; the worker that reads the bytes finds out whether they are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.pictures.variants import Current
    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.table.lookup import Known


def count(gone: Iterable[int | None], new: Iterable[int | None]) -> int:
    """How many gone images may be new ones under another name, by their lengths in bytes; each new image counts once."""
    lengths = Counter(length for length in gone if length is not None)
    return (lengths & Counter(length for length in new if length is not None and length in lengths)).total()


def side_by_side(events: Sequence[ImageEvent], lengths: Mapping[str, int | None]) -> list[ImageEvent]:
    """The events sorted by length, so that a new image and a removed one of the same length are neighbours.

    Neighbours mostly come into one manifest, batch and chunk, and then one commit moves the row. lengths: by path, for events
    without one.
    """
    return sorted(events, key=lambda event: event.length if event.length is not None else lengths.get(event.path) or 0)


def together(named: Sequence[ImageEvent], known: Mapping[str, Known]) -> Sequence[ImageEvent]:
    """`named`, sorted as by `side_by_side` where an image with a row was removed; else as it is."""
    if not any(event.event == "removed" and event.path in known for event in named):
        return named
    return side_by_side(named, {path: row.length for path, row in known.items()})


def features_to_copy(events: Iterable[ImageEvent], known: Mapping[str, Known], current: Current) -> dict[str, str]:
    """The SHA-256 and the extractor of current rows with features whose images were removed: a new image may copy them."""
    rows = (known[event.path] for event in events if event.event == "removed" and event.path in known)
    good = (row for row in rows if row.error is None and current.made(row.extractor, row.width, row.height))
    return {row.sha256: row.extractor for row in good if row.sha256}
