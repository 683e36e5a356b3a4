"""The image prefix as the stream sees it: listed again and again, and what is new or changed there becomes manifests.

Spark's own file source would ask S3 three times more for each image, stop at one whose status it may not ask, pass over empty
files and names that begin with `_` or `.`, and never tell of an image that was overwritten. A flat listing tells all that the
stream needs. What was listed before is kept as 8 bytes an image; at the start it is what the table has and what waits in
manifests, so nothing else is to be remembered, or to be lost.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fruitpipe import objects
from fruitpipe.erasure.register import Tombstones
from fruitpipe.ingest import checkpoint
from fruitpipe.output import say
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.naming import Naming
from fruitpipe.root import layout, manifests
from fruitpipe.settings import IngestSettings
from fruitpipe.table import path_hashes
from fruitpipe.table.lookup import among

WRITER = "listing"  # in the names of its manifests
LINES = 1000  # of one manifest
READERS = 16  # manifests read at the same time
PAUSE_SECONDS = 0.1  # from one listing to the next where there is no trigger to wait for
BEFORE_TRIGGER_SECONDS = 0.25  # that a listing is to end before Spark's trigger, which then finds its manifests


def images(prefix: str, choice: ImageFilter) -> Iterator[objects.Stat]:
    """The objects below `prefix` that are images; `choice` counts the others."""
    return (stat for stat in objects.list_all(prefix) if choice.takes(stat.path))


def unread(root: str, checkpoint_uri: str, writer: str = "") -> list[str]:
    """The manifests, of all or of one writer, that no committed batch of the checkpoint has taken; hidden ones none takes."""
    read = checkpoint.manifests_read(checkpoint_uri)
    uris = [stat.path for stat in objects.list_all(layout.folder(root, "events")) if stat.path.endswith(".jsonl")]
    unread = [uri for uri in uris if uri not in read and not objects.name(uri).startswith((".", "_"))]
    return [uri for uri in unread if not writer or f"-{writer}" in objects.name(uri)]


def waiting(root: str, checkpoint_uri: str, writer: str = "") -> list[str]:
    """The lines of those manifests."""
    with ThreadPoolExecutor(READERS) as readers:
        bodies = readers.map(objects.read, unread(root, checkpoint_uri, writer))
        return [line for body in bodies for line in body.decode(errors="replace").splitlines()]


def named_before(root: str, checkpoint_uri: str) -> NDArray[np.int64]:
    """The codes of what waits because a listing has named it."""
    told = [manifests.parse_line(line) for line in waiting(root, checkpoint_uri, WRITER)]
    return np.array([path_hashes.of_image(event.path, event.etag or "") for event in told], np.int64)


@dataclass
class Listing:
    """What was there when the prefix was last listed; `known` tells, as codes, what need not be named at the start."""

    settings: IngestSettings
    known: Callable[[], NDArray[np.int64]]
    naming: Naming = field(default_factory=Naming)

    def __post_init__(self) -> None:
        self._before: NDArray[np.int64] | None = None
        self._failure: BaseException | None = None
        self._choice, self._is_said = ImageFilter(self.naming, self.settings.glob), False
        self._begun, self._stopped = threading.Event(), threading.Event()

    @property
    def is_listed(self) -> bool:
        """Whether it is known what was there."""
        return self._before is not None

    def list_once(self) -> int:
        """Writes manifests of what was not there before, or not with that etag; says of how many images."""
        before = np.unique(self.known()) if self._before is None else self._before
        named, listed = 0, array("q")
        lines = min(LINES, self.settings.max_files_per_trigger)
        for body in manifests.manifests(self._unseen(before, listed), lines):
            now = datetime.now(UTC)
            objects.write(manifests.manifest_uri(self.settings.root, now, manifests.manifest_name(WRITER, now, body)), body)
            named += body.count(b"\n")
            self._begun.set()
        if not self._stopped.is_set():
            self._say_passed_over()
            self._before = self._seen(before, np.unique(np.frombuffer(listed, np.int64)))
        return named

    def _say_passed_over(self) -> None:
        """Says once a run what was there and is no image."""
        if not self._is_said and str(self._choice):
            say(f"ingest: {self._choice}")
        self._is_said = True

    def forget(self) -> None:
        """Begins anew with what is known: after an erasure an image may lack its row, whatever was listed before."""
        self._before = None

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Lists the prefix again and again while the block runs, which begins once there is something to do, or nothing."""
        self._stopped.clear()
        self._begun.clear()
        thread = threading.Thread(target=self._repeat, daemon=True, name="fruitpipe-listing")
        thread.start()
        try:
            self._begun.wait()
            self.check()
            yield
        finally:
            self._stopped.set()
            thread.join()

    def check(self) -> None:
        """Raises what a listing in the background met."""
        if self._failure:
            raise self._failure

    def _repeat(self) -> None:
        try:
            while not self._stopped.is_set():
                began = time.monotonic()
                self.list_once()
                self._begun.set()
                self._stopped.wait(pause(self.settings.trigger_seconds, time.time(), time.monotonic() - began))
        except BaseException as error:  # noqa: BLE001 - `check` raises it, where somebody hears it
            self._failure = error
        finally:
            self._begun.set()

    def _unseen(self, before: NDArray[np.int64], listed: array[int]) -> Iterator[manifests.ImageEvent]:
        """What `before` lacks, but for what was erased and kept; `listed` takes the code of everything that is there."""
        self._choice = ImageFilter(self.naming, self.settings.glob)
        stats, erased = images(self.settings.images, self._choice), None
        while not self._stopped.is_set() and (chunk := list(islice(stats, LINES))):
            found = [path_hashes.of_image(stat.path, stat.etag) for stat in chunk]
            listed.extend(found)
            is_seen = among(before, np.array(found, np.int64)).tolist()
            for stat in (stat for stat, seen in zip(chunk, is_seen, strict=True) if not seen):
                erased = erased or Tombstones.of(self.settings.root)
                if not erased.keeps_out(stat.path):
                    yield manifests.ImageEvent("created", stat.path, stat.etag, stat.length, archived=stat.is_archived)

    def _seen(self, before: NDArray[np.int64], listed: NDArray[np.int64]) -> NDArray[np.int64]:
        """What counts as seen next time.

        A folder may be a mount that comes and goes, which is no reason to look at each image again; and whatever is put back
        there has another ctime, and so another etag. On S3 the same bytes, put back, have the same.
        """
        return listed if objects.is_s3(self.settings.images) else np.union1d(before, listed)


def pause(trigger_seconds: float, now: float, took: float) -> float:
    """Seconds until the next listing, so that it ends just before a trigger of Spark's, which come at whole multiples."""
    if not trigger_seconds:
        return PAUSE_SECONDS
    return trigger_seconds - (now + took + BEFORE_TRIGGER_SECONDS) % trigger_seconds
