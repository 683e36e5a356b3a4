"""Looks at objects many at a time ahead of the model, so that inference never waits for the network."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from fruitpipe import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fruitpipe.extractor.arrow_schema import Reference

    Ahead = deque[tuple[list[Reference], Future[list[objects.Look]]]]  # what is read or being read, the oldest first

READERS = 16  # objects read at the same time
READ_AHEAD = 128  # objects read or being read before the model needs them ...
UNKNOWN_BYTES = 4_000_000  # counted for an object that is not read yet and whose length is not announced
READ_AHEAD_BYTES = 64_000_000  # ... as long as they are no larger than this together, as far as is known
READ_TOGETHER = 8  # small objects that a reader takes at a time: to hand over each alone takes longer than to read it from a disk


def looks(references: Iterable[Reference], look: Callable[[Reference], objects.Look]) -> Iterator[tuple[Reference, objects.Look]]:
    """Each reference and what `look` found there, in order, read ahead within the two bounds."""
    ahead: Ahead = deque()
    with ThreadPoolExecutor(READERS, "fruitpipe-read") as readers:
        for together in _together(references):
            while ahead and (_ahead(ahead) >= READ_AHEAD or _bytes_ahead(ahead) >= READ_AHEAD_BYTES):
                yield from _oldest(ahead)
            ahead.append((together, readers.submit(_looked, together, look)))
        while ahead:
            yield from _oldest(ahead)


def _looked(together: list[Reference], look: Callable[[Reference], objects.Look]) -> list[objects.Look]:
    return [look(reference) for reference in together]


def _together(references: Iterable[Reference]) -> Iterator[list[Reference]]:
    """What one reader looks at, one after the other: the first ones alone, as the model waits, and large ones."""
    together: list[Reference] = []
    for number, reference in enumerate(references):
        together.append(reference)
        large = sum(map(_announced, together)) * READERS >= READ_AHEAD_BYTES
        if number < READERS or large or len(together) == READ_TOGETHER:
            yield together
            together = []
    if together:
        yield together


def _oldest(ahead: Ahead) -> Iterator[tuple[Reference, objects.Look]]:
    together, future = ahead.popleft()
    return zip(together, future.result(), strict=True)


def _ahead(ahead: Ahead) -> int:
    return sum(len(together) for together, _ in ahead)


def _bytes_ahead(ahead: Ahead) -> int:
    return sum(_bytes_of(together, future) for together, future in ahead)


def _bytes_of(together: list[Reference], future: Future[list[objects.Look]]) -> int:
    """What objects take, once they are read; before, what was announced."""
    if not future.done():
        return sum(map(_announced, together))
    if future.exception():
        return 0
    return sum(len(look.body) for look in future.result() if isinstance(look, objects.Found))


def _announced(reference: Reference) -> int:
    return reference.length or UNKNOWN_BYTES
