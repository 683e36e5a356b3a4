"""Groups of images that show the same picture, encoded, scaled, cropped or lit otherwise, turned or mirrored.

Vectors alone do not tell a copy from the next view of the same fruit: they only say which pictures are worth comparing. So each
picture is compared, pixel by pixel, with those that are nearest to it by vectors. A copy that is turned need not be among these:
all pairs are looked through for such, by a few means of their pixels.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fruitpipe.pictures import likeness, thumbnails
from fruitpipe.runtime.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fruitpipe.curation.points import Points

COMPARED = 20  # nearest images by vectors that a picture is compared with
AT_ONCE = 16  # pictures that a thread reads one after the other; each thread holds one, of 20 MB at most


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
    plain = likeness.alike(pixels, *candidates(points.neighbours(COMPARED), is_read), most)
    turned = joined_by_turning(pixels[:, 0], components(len(pixels), *plain[:2]), most)
    groups = grouped(points, *(np.concatenate(both) for both in zip(plain, turned, strict=True)))
    return Found(
        sorted(groups, key=lambda group: (len(group.labels) == 1, -len(group.images), group.images)), int((~is_read).sum())
    )


def read(paths: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The pixels of shrunk pictures, (n, 6, 768), and which of them were read. A process a core decodes them."""
    pixels = np.zeros((len(paths), *likeness.SHAPE), np.uint8)
    is_read = np.zeros(len(paths), np.bool_)
    idle: SimpleQueue[thumbnails.InTime[bytes]] = SimpleQueue()

    def read_some(first: int) -> None:
        for row in range(first, min(first + AT_ONCE, len(paths))):
            shrunk = _shrunk(thumbnails.read(paths[row]), idle)
            if shrunk is not None:
                pixels[row], is_read[row] = np.frombuffer(shrunk, np.uint8).reshape(likeness.SHAPE), True

    with ExitStack() as ending:
        for _ in range(min(usable_cores(), thumbnails.READERS)):
            idle.put(ending.enter_context(closing(thumbnails.InTime(likeness.shrunk, most_late=math.inf))))
        readers = ending.enter_context(ThreadPoolExecutor(thumbnails.READERS, "fruitpipe-pictures"))
        for _ in readers.map(read_some, range(0, len(paths), AT_ONCE)):
            pass
    return pixels, is_read


def _shrunk(body: bytes, idle: SimpleQueue[thumbnails.InTime[bytes]]) -> bytes | None:
    if not body:
        return None
    shrink = idle.get()
    try:
        return shrink(body)
    finally:
        idle.put(shrink)


def candidates(neighbours: NDArray[np.intp], is_read: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairs of images to compare, each once: numbers of the first and of the second, by first and second."""
    count = len(neighbours)
    one, other = np.repeat(np.arange(count), neighbours.shape[1]), neighbours.ravel()
    pairs = np.unique(np.minimum(one, other) * count + np.maximum(one, other))
    first, second = pairs // count, pairs % count
    both = is_read[first] & is_read[second]
    return first[both], second[both]


def joined_by_turning(
    pictures: NDArray[np.uint8], group: NDArray[np.intp], most: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """The pairs that are alike once one of them is turned or mirrored, as many as join the groups that they join: n - 1 at most.

    pictures: (n, 768), shrunk; all 0 where there is none. group: (n,), equal of those that need not be compared.
    """
    group, found = group.copy(), list[tuple[int, int, float]]()
    for turn, first, second in likeness.near_turned(pictures, most):
        open_ = np.flatnonzero(group[first] != group[second])
        for start in range(0, len(open_), likeness.SOME):
            some = open_[start : start + likeness.SOME]
            some = some[group[first[some]] != group[second[some]]]  # others have joined since
            differences = likeness.differences_turned(pictures, first[some], second[some], turn)
            for one, other, difference in zip(first[some], second[some], differences, strict=True):
                if difference <= most and group[one] != group[other]:
                    group[group == group[other]] = group[one]
                    found.append((one, other, difference))
    ones, others, apart = zip(*found, strict=True) if found else ((), (), ())
    return np.array(ones, np.intp), np.array(others, np.intp), np.array(apart, np.float64)


def components(count: int, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of `count` images the connected component that each is in, by these pairs: the least number of an image in it."""
    parent = list(range(count))

    def top(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        parent[max(top(one), top(other))] = min(top(one), top(other))
    return np.array([top(number) for number in range(count)], np.intp)


def grouped(points: Points, first: NDArray[np.intp], second: NDArray[np.intp], apart: NDArray[np.float64]) -> list[Group]:
    """The connected components of the pairs."""
    component = components(len(points.paths), first, second)
    members: dict[int, list[int]] = {}
    for number in np.union1d(first, second).tolist():
        members.setdefault(int(component[number]), []).append(number)
    widest = np.zeros(len(component))
    np.maximum.at(widest, component[first], apart)
    return [
        Group(tuple(Image(points.paths[row], points.labels[row]) for row in rows), float(widest[key]))
        for key, rows in members.items()
    ]
