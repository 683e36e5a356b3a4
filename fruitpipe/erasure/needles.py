"""Names of images as bytes to be found in other bytes, where they are not a part of a longer name.

They are grouped by their first bytes, so that 10,000 cost hardly more than one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

BEGINNING = 12  # first bytes by which needles are grouped: a bucket's or a folder's name, mostly
# What follows or precedes a needle that is only a part of another image's name.
GOES_ON = re.compile(rb"[\w\-%+\x80-\xff]|\.\w")
GOES_BEFORE = re.compile(rb"[\w.\-%\x80-\xff]")


class Needles:
    """The needles of some paths, each as `needle_of` makes it."""

    def __init__(self, paths: Iterable[str]) -> None:
        groups: dict[bytes, set[bytes]] = {}
        for path in paths:
            needle = needle_of(path)
            groups.setdefault(needle[:BEGINNING], set()).add(needle)
        self._groups = {first: (sorted({len(one) for one in group}, reverse=True), group) for first, group in groups.items()}

    def are_in(self, text: bytes) -> bool:
        """Whether one of them stands in `text`."""
        return next(self._places(text), None) is not None

    def cut_from(self, text: bytes) -> bytes:
        """`text` with a line break in place of each; where several begin, of the longest."""
        pieces, end = [], 0
        for start, stop in sorted(self._places(text), key=lambda place: (place[0], -place[1])):
            if start >= end:
                pieces.append(text[end:start])
                end = stop
        return b"\n".join([*pieces, text[end:]])

    def _places(self, text: bytes) -> Iterator[tuple[int, int]]:
        for first, (lengths, group) in self._groups.items():
            at = text.find(first)
            while at >= 0:
                if not GOES_BEFORE.match(text, max(at - 1, 0), at):
                    ends = (at + length for length in lengths if text[at : at + length] in group)
                    yield from ((at, end) for end in ends if not GOES_ON.match(text, end))
                at = text.find(first, at + 1)


def needle_of(path: str) -> bytes:
    """The bytes to search for: the URI without its scheme, ``//bucket/key`` or ``/folder/name``, as others may write ``s3a:``."""
    return (path.removeprefix("file://") if path.startswith("file:") else path.partition(":")[2]).encode()
