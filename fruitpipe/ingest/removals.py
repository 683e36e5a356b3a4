"""Decides which rows to delete of images that are not listed any more.

A folder may not be mounted, and a listing of a mistyped prefix lacks every image. So rows stay where nothing is listed, where
another file system is mounted, where over a tenth of the images are missing at once, and below a folder that cannot be read.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fruitpipe.ingest import moves, waiting_manifests
from fruitpipe.ingest.mount import Mount
from fruitpipe.output import say
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.settings import IngestSettings
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import HashIndex
from fruitpipe.table.path_hashes import Row

SHARE = 0.1  # a listing that lacks more of the images than this is taken for a wrong prefix or a lost mount
REST = 20  # pause from one read of the table to the next, in multiples of the time that a read takes


class Listed(NamedTuple):
    """A whole listing. new_lengths: in bytes, of images not seen before. denied: folders and files that cannot be read now."""

    images: HashIndex
    new_lengths: Collection[int]
    denied: Collection[str]


class Gone(NamedTuple):
    """rows: those to delete. forget: hashes of paths, (n,) int64, sorted, that the listing no longer counts as seen."""

    rows: list[Row]
    forget: NDArray[np.int64]


NOTHING = Gone([], np.empty(0, np.int64))


def too_many(gone: int, moved: int, images: int) -> bool:
    """Whether so many of the images are gone, moved ones aside, that the listing is more likely to be wrong."""
    return gone - moved > SHARE * images


@dataclass
class Removals:
    """Finds the gone images from one listing to the next. Where their rows stay, it prints why, once."""

    settings: IngestSettings
    checkpoint: str
    mount: Mount
    choice: ImageFilter

    def __post_init__(self) -> None:
        self._stay = self._unclear = NOTHING.forget  # hashes of paths, sorted: rows that stay, and paths that may still get a row
        self._said_away: set[str] = set()
        self._not_before = 0.0

    def find(self, seen: HashIndex, listed: Listed) -> Gone:
        """The images of `seen` that are gone by `listed`. Reads the table only where other images are missing than before."""
        missing = seen.missing_in(listed.images)
        if not len(missing) or time.monotonic() < self._not_before or np.array_equal(missing, self._stay):
            return NOTHING
        waits = bool(waiting_manifests.unread(self.settings.root, self.checkpoint))  # before the table is read
        if waits and np.array_equal(np.setdiff1d(missing, self._unclear), self._stay):
            return NOTHING
        if reason := self._is_away(listed):
            return self._kept(missing, f"{reason}, so the rows of {len(missing)} images stay. Mount it again and start again")
        listed = listed._replace(denied=[*listed.denied, *self._mounts_away()])
        return self._of_table(missing, listed, len(seen), waits=waits)

    def _mounts_away(self) -> list[str]:
        """Mount points below the prefix that are not mounted now, each told of once while it is away."""
        away = self.mount.away
        for folder in set(away) - self._said_away:
            say(f"ingest: {folder} is another file system than at the start, so rows of its images stay. Mount it again")
        self._said_away = set(away)
        return away

    def _is_away(self, listed: Listed) -> str:
        if not len(listed.images):
            return "nothing is listed any more"
        return "it is another file system than at the start" if self.mount.is_another else ""

    def _of_table(self, missing: NDArray[np.int64], listed: Listed, images: int, *, waits: bool) -> Gone:
        """Decides by the rows that the missing images have. Images of a batch in progress may get theirs only now."""
        began = time.monotonic()
        found = path_hashes.rows_of(self.settings.root, missing, self.settings.images)
        self._not_before = time.monotonic() + REST * (time.monotonic() - began)
        rows = [row for row in found if self.choice.would_take(row.path) and not lies_in(listed.denied, row.path)]
        if reason := self._why_kept(rows, listed, images):
            return self._kept(missing, reason)
        self._stay = _hashes(row.path for row in found if lies_in(listed.denied, row.path))
        without_row = np.setdiff1d(missing, _hashes(row.path for row in found))
        self._unclear = without_row if waits else NOTHING.forget
        return Gone(rows, np.setdiff1d(missing, np.union1d(self._stay, self._unclear)))

    def _why_kept(self, rows: list[Row], listed: Listed, images: int) -> str:
        """Why all rows stay; empty where they are to be deleted."""
        moved = moves.count((row.length for row in rows), listed.new_lengths)
        said = f"{len(rows)} of {images} images are not there any more" + (f", {moved} of which moved" if moved else "")
        if too_many(len(rows), moved, images) and not self.settings.allow_removals:
            return f"{said}: more than a tenth, so their rows stay. Check --images, or say --allow-removals"
        return f"{said}; their rows stay, as --keep-removed asks" if rows and self.settings.keep_removed else ""

    def _kept(self, missing: NDArray[np.int64], reason: str) -> Gone:
        self._stay = missing
        say(f"ingest: {self.settings.images}: {reason}")
        return NOTHING


def lies_in(denied: Collection[str], path: str) -> bool:
    """Whether the image is one of the files, or lies in or below one of the folders."""
    return any(path == one or path.startswith(f"{one}/") for one in denied)


def _hashes(paths: Iterable[str]) -> NDArray[np.int64]:
    return np.unique(path_hashes.of_paths(paths))
