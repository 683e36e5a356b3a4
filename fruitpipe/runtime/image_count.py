"""How many images of a chunk the workers are through with, told while their tasks run: a file with one byte an image.

Spark tells what a task has counted when the task has ended, and a chunk is few, long tasks: with tasks of 64 images, which would
move a bar as well, half as many images are done in a second. A file reaches only workers on the driver's machine. Standard
library only: the workers import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DONE, FAILED = b".", b"x"
AT_ONCE = 8  # images, 60 ms of work: to write lets the threads that read ahead have the interpreter


@dataclass(frozen=True)
class Tally:
    """The file at `path`, and how many `images` the chunk has."""

    path: Path
    images: int

    def counted(self) -> tuple[int, int]:
        """How many images are done by now, and how many of those failed."""
        marks = self.path.read_bytes()[: self.images]  # an image that is looked at again, after a crash, leaves a second mark
        return len(marks), marks.count(FAILED)


def marked(outcomes: Iterable[dict[str, Any]], path: str) -> Iterator[dict[str, Any]]:
    """The same outcomes; each leaves a mark in the file, some of them at a time. Several workers append to one file."""
    marks = b""
    with open(path, "ab", buffering=0) as file:
        for outcome in outcomes:
            marks += FAILED if outcome["outcome"] == "failed" else DONE
            if len(marks) == AT_ONCE:
                file.write(marks)
                marks = b""
            yield outcome
        file.write(marks)
