"""Counts the images of a chunk that workers have done, while their tasks run: in a file with one byte an image.

Spark reports a task's accumulators only when it has ended, and a chunk is few, long tasks. Tasks of 64 images would move a bar as
well, but half as many images would be done in a second. Only workers on the driver's machine can write the file. Standard library
only, as the workers import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruitpipe.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DONE, FAILED = b".", b"x"
AT_ONCE = 8  # images a write, 60 ms of work: a write gives the interpreter to the threads that read ahead


@dataclass(frozen=True)
class ImageCount:
    """The count of one chunk. path: its file. images: how many the chunk has."""

    path: Path
    images: int

    def counted(self) -> tuple[int, int]:
        """How many images are done by now, and how many of those failed."""
        marks = self.path.read_bytes()[: self.images]  # an image that is looked at again, after a crash, leaves a second mark
        return len(marks), marks.count(FAILED)


def marked(outcomes: Iterable[dict[str, Any]], path: str) -> Iterator[dict[str, Any]]:
    """Yields the same outcomes and appends a byte for each to the file, AT_ONCE at a time. Several workers share one file."""
    marks = b""
    with open(path, "ab", buffering=0) as file:
        for outcome in outcomes:
            marks += FAILED if outcome["outcome"] == Outcome.FAILED else DONE
            if len(marks) == AT_ONCE:
                file.write(marks)
                marks = b""
            yield outcome
        file.write(marks)
