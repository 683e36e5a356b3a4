"""Images that were moved: the same bytes under another name. Events tell of one that came and one that went.

A length in common is a hint that costs nothing; that the bytes are the same, the worker that reads them finds out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.table.lookup import Known


def count(gone: Iterable[int | None], new: Iterable[int | None]) -> int:
    """How many images that are gone a new one may be, told by their lengths in bytes; each new image stands for one."""
    lengths, others = (Counter(length for length in some if length is not None) for some in (gone, new))
    return (lengths & others).total()


def side_by_side(events: Sequence[ImageEvent], lengths: Mapping[str, int | None]) -> list[ImageEvent]:
    """The events so ordered that an image which came and one which went lie together where they have the same length.

    A manifest, a batch and a chunk take what lies together, and then one commit moves the row. lengths: of images by path, where
    the event does not tell.
    """
    return sorted(events, key=lambda event: event.length if event.length is not None else lengths.get(event.path) or 0)


def together(named: Sequence[ImageEvent], known: Mapping[str, Known]) -> Sequence[ImageEvent]:
    """`named`, side by side where rows that are `known` may have moved."""
    if not any(event.event == "removed" and event.path in known for event in named):
        return named
    return side_by_side(named, {path: row.length for path, row in known.items()})


def features_to_copy(events: Iterable[ImageEvent], known: Mapping[str, Known], extractor: str) -> frozenset[str]:
    """The SHA-256 of good rows of this extractor whose images are said to be gone: a new image of those bytes takes theirs."""
    rows = (known[event.path] for event in events if event.event == "removed" and event.path in known)
    return frozenset(row.sha256 for row in rows if row.sha256 and row.error is None and row.extractor == extractor)
