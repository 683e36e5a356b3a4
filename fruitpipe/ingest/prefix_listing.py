"""Lists the image prefix, and writes manifests of the images that are new, changed or gone since the last listing.

Spark's own file source would ask S3 three times more for each image, stop at one whose status it may not ask, skip empty files
and names that begin with `_` or `.`, and miss images that were overwritten or removed. A flat listing has all that the stream
needs. What was seen before is kept as hashes. At the start it is read from the table and from manifests that wait, so
no other state has to be stored.
"""

from __future__ import annotations

import sys
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import compress, islice

import numpy as np
from numpy.typing import NDArray

from fruitpipe import objects
from fruitpipe.erasure.register import Tombstones
from fruitpipe.ingest import moves
from fruitpipe.ingest.removals import Listed, Removals
from fruitpipe.objects.listing import LISTERS
from fruitpipe.output import say
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.naming import Naming
from fruitpipe.root import manifests
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.settings import IngestSettings
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import BELOW, HashIndex, Spool
from fruitpipe.table.row_store import Rows

WRITER = "listing"  # in the names of its manifests
LINES = 1000  # of one manifest
HELD = 200_000  # new images that are named together with those that are gone: 70 MB
Seen = Callable[[], HashIndex]  # what need not be named
Denied = Callable[[str], None]  # is given a folder or a file that cannot be read


def images(prefix: str, choice: ImageFilter, on_denied: Denied | None = None, listers: int = LISTERS) -> Iterator[objects.Stat]:
    """The objects below `prefix` that are images; `choice` counts the others. Else as `listed`."""
    return (stat for stat in listed(prefix, on_denied, listers) if choice.takes(stat.path))


def listed(prefix: str, on_denied: Denied | None = None, listers: int = LISTERS) -> Iterator[objects.Stat]:
    """The objects below `prefix`. Folders and files that cannot be read are printed once, and given to `on_denied`."""

    def skip(folder: str) -> None:
        _say_denied(folder)
        if on_denied:
            on_denied(folder)

    return objects.list_all(prefix, skip, listers)


@cache  # a stream lists its prefix again and again
def _say_denied(folder: str) -> None:
    say(f"{folder}: may not be read and is skipped; rows of images there stay. Grant access, or check the disk", to=sys.stderr)


def hashes_of(chunk: Sequence[objects.Stat]) -> Rows:
    """The hashes of listed images.

    One that nobody may be able to read counts as archived: in a class where everybody can, it is another image.
    """
    paths = path_hashes.of_paths(stat.path for stat in chunk)
    images = [path_hashes.of_image(stat.path, stat.etag, stat.is_archived is not False) for stat in chunk]
    return Rows(paths, np.array(images, np.int64), np.full(len(chunk), BELOW, np.uint8))


def unseen(seen: HashIndex, chunk: Sequence[objects.Stat], hashes: Rows, but: int = 0) -> Iterator[objects.Stat]:
    """The images of a chunk that were not seen with their etag, or with a flag of `but`. hashes: theirs."""
    is_seen = seen.has(hashes.paths, hashes.images, but) | _are_archived_since(seen, chunk, hashes.paths, but)
    return compress(chunk, ~is_seen)


def _are_archived_since(seen: HashIndex, chunk: Sequence[objects.Stat], paths: NDArray[np.int64], but: int) -> NDArray[np.bool_]:
    """Which images of a chunk, (n,) bool, were seen before they were archived, if they are: these need not be looked at."""
    hashes = np.zeros(len(chunk), np.int64)
    for place, stat in enumerate(chunk):
        if stat.is_archived is not False:
            hashes[place] = path_hashes.of_image(stat.path, stat.etag)
    return seen.has(paths, hashes, but)


@dataclass
class _Found:
    """What a listing has found so far: hashes of paths, and of paths with etags; lengths in bytes of new images."""

    choice: ImageFilter
    images: Spool = field(default_factory=Spool)
    new_lengths: array[int] = field(default_factory=lambda: array("q"))
    denied: set[str] = field(default_factory=set)

    def listed(self) -> Listed:
        return Listed(self.images.index(), self.new_lengths, self.denied)


class Listing:
    """Names in manifests the images that differ from what was seen before, on S3 and in a folder by the same rules.

    An image is named where it was not seen with its etag. One that is not listed any more is named as removed, unless `Removals`
    keeps its row. An image that was named as removed, or that a batch found gone, counts as never seen: put back, it is looked at
    again, though S3 gives it the same etag. One that is not listed but keeps its row counts as seen, so a mount that comes and
    goes costs nothing.

    seen_before: what need not be named at the start. naming: the root's rule for which names are images.
    """

    def __init__(self, settings: IngestSettings, seen_before: Seen, removals: Removals, naming: Naming) -> None:
        self.settings, self.is_listed = settings, False
        self._seen_before, self._removals, self._naming = seen_before, removals, naming
        self._is_said = False
        self._seen = HashIndex()
        self._gone: set[int] = set()
        self._lock = threading.Lock()

    def begin_anew(self) -> None:
        """Has the next listing start from `seen_before`: after an erasure an image may lack its row, whatever was seen."""
        self.is_listed = False

    def found_gone(self, paths: Sequence[str], unexpected: Sequence[str] = ()) -> None:
        """Counts images as never seen, as a batch has found them gone. May be called while a listing goes on.

        unexpected: those that nobody had said are gone. Raises PlatformFault where that is because the whole folder is away.
        """
        self._removals.mount.check(unexpected)
        if self.settings.source == "events":  # no listing follows that would take them, for as long as the stream runs
            return
        with self._lock:
            self._gone.update(map(path_hashes.of_path, paths))

    def list_once(self, goes_on: Callable[[], bool] = lambda: True, begun: Callable[[], None] = lambda: None) -> int:
        """Writes manifests of the images that are new, changed or gone; returns how many.

        A listing that `goes_on` ends early marks nothing as seen. `begun` is called when the first manifest is there.
        """
        self._seen = seen = (self._seen if self.is_listed else self._seen_before()).without(self._take_gone())
        found = _Found(ImageFilter(self._naming, self.settings.glob))
        unseen = self._unseen(seen, found, goes_on)
        held = list(islice(unseen, HELD)) if len(seen) else []  # where nothing was seen, nothing can have moved
        named = self._write(unseen, begun)
        if not goes_on():
            return named
        self._say_skipped(found.choice)
        listed = found.listed()
        gone = self._removals.find(seen, listed)
        removed = [ImageEvent("removed", row.path) for row in gone.rows]
        if removed:
            held = moves.side_by_side([*held, *removed], {row.path: row.length for row in gone.rows})
        named += self._write(iter(held), begun)
        self._seen, self.is_listed = seen.updated(listed.images).without(gone.forget).without(self._take_gone()), True
        return named

    def _unseen(self, seen: HashIndex, found: _Found, goes_on: Callable[[], bool]) -> Iterator[ImageEvent]:
        """What was not `seen` with its etag, but for what was erased and kept; `found` takes all that is there."""
        stats, erased = images(self.settings.images, found.choice, found.denied.add, self.settings.listers), None
        while goes_on() and (chunk := list(islice(stats, LINES))):
            hashes = hashes_of(chunk)
            found.images.add(hashes)
            for stat in unseen(seen, chunk, hashes):
                erased = erased or Tombstones.of(self.settings.root)
                if not erased.keeps_out(stat.path):
                    found.new_lengths.append(stat.length)
                    yield ImageEvent("created", stat.path, stat.etag, stat.length, archived=bool(stat.is_archived))

    def _write(self, events: Iterator[ImageEvent], begun: Callable[[], None]) -> int:
        """Writes the events as manifests; returns how many events."""
        named = 0
        for body in manifests.manifests(events, min(LINES, self.settings.max_files_per_trigger)):
            now = datetime.now(UTC)
            objects.write(manifests.manifest_uri(self.settings.root, now, manifests.manifest_name(WRITER, now, body)), body)
            named += body.count(b"\n")
            begun()
        return named

    def _say_skipped(self, choice: ImageFilter) -> None:
        """Prints once a run which objects are no images."""
        if not self._is_said and str(choice):
            say(f"ingest: {choice}")
        self._is_said = True

    def _take_gone(self) -> NDArray[np.int64]:
        """The path hashes, sorted, of images that were found gone since the last call."""
        with self._lock:
            gone, self._gone = self._gone, set()
        return np.array(sorted(gone), np.int64)
