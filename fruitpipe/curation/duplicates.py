"""Groups of images that show the same picture, encoded, scaled, cropped or lit otherwise.

Vectors alone do not tell a copy from the next view of the same fruit: they only say which pictures are worth comparing. So each
picture is compared, pixel by pixel, with those that are nearest to it by vectors.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fruitpipe.pictures import likeness, thumbnails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fruitpipe.curation.points import Points

COMPARED = 20  # nearest images by vectors that a picture is compared with
AT_ONCE = 16  # pictures read ahead, of 20 MB each at most


class Image(NamedTuple):
    """An image by its path, and its label."""

    path: str
    label: str


class Group(NamedTuple):
    """Images that are duplicates, by path: each differs from another one of them by `difference` at most."""

    images: tuple[Image, ...]
    difference: float

    @property
    def labels(self) -> list[str]:
        """The labels, without repetitions. More than one: the picture is known under two names."""
        return sorted({image.label for image in self.images})

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "images": [image._asdict() for image in self.images],
            "labels": self.labels,
            "difference": round(self.difference, 4),
        }


class Found(NamedTuple):
    """Groups, those with several labels and then the largest first, and how many pictures could not be read."""

    groups: list[Group]
    unread: int


def find(points: Points, most: float) -> Found:
    """most: the difference that pictures of a group have at most, as `likeness.differences`.

    Reads each picture once, where it lies. A picture that is gone, or none any more, is in no group.
    """
    pixels, is_read = read(points.paths)
    first, second = candidates(points.neighbours(COMPARED), is_read)
    apart = likeness.differences(pixels, first, second)
    alike = apart <= most
    groups = grouped(points, first[alike], second[alike], apart[alike])
    return Found(
        sorted(groups, key=lambda group: (len(group.labels) == 1, -len(group.images), group.images)), int((~is_read).sum())
    )


def read(paths: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The pixels of shrunk pictures, (n, 6, 768), and which of them were read."""
    pixels = np.zeros((len(paths), *likeness.SHAPE), np.uint8)
    is_read = np.zeros(len(paths), np.bool_)
    with (
        ThreadPoolExecutor(thumbnails.READERS, "fruitpipe-pictures") as readers,
        closing(thumbnails.InTime(likeness.shrunk, most_late=math.inf)) as shrink,
    ):
        for first in range(0, len(paths), AT_ONCE):
            for row, body in enumerate(readers.map(thumbnails.read, paths[first : first + AT_ONCE]), start=first):
                shrunk = shrink(body) if body else None
                if shrunk is not None:
                    pixels[row], is_read[row] = np.frombuffer(shrunk, np.uint8).reshape(likeness.SHAPE), True
    return pixels, is_read


def candidates(neighbours: NDArray[np.intp], is_read: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs of images to compare, each once: numbers of the first and of the second, by first and second."""
    count = len(neighbours)
    one, other = np.repeat(np.arange(count), neighbours.shape[1]), neighbours.ravel()
    pairs = np.unique(np.minimum(one, other) * count + np.maximum(one, other))
    first, second = pairs // count, pairs % count
    both = is_read[first] & is_read[second]
    return first[both], second[both]


def grouped(points: Points, first: NDArray[np.intp], second: NDArray[np.intp], apart: NDArray[np.float64]) -> list[Group]:
    """The connected components of the pairs."""
    parent = {number: number for number in {*first.tolist(), *second.tolist()}}

    def top(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        parent[max(top(one), top(other))] = min(top(one), top(other))
    members: dict[int, list[int]] = {}
    for number in sorted(parent):
        members.setdefault(top(number), []).append(number)
    widest = dict.fromkeys(members, 0.0)
    for one, difference in zip(first.tolist(), apart.tolist(), strict=True):
        widest[top(one)] = max(widest[top(one)], difference)
    return [
        Group(tuple(Image(points.paths[row], points.labels[row]) for row in rows), widest[key]) for key, rows in members.items()
    ]
