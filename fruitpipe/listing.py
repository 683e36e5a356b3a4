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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fruitpipe import checkpoint, events, layout, names, objects
from fruitpipe.erasures import Tombstones
from fruitpipe.settings import IngestSettings

WRITER = "listing"  # in the names of its manifests
LINES = 1000  # of one manifest
PAUSE_SECONDS = 0.1  # from one listing to the next where there is no trigger to wait for
BEFORE_TRIGGER_SECONDS = 0.25  # that a listing is to end before Spark's trigger, which then finds its manifests


def images(prefix: str, glob: str) -> Iterator[objects.Stat]:
    """The objects below `prefix` whose names count as images."""
    counts = names.matcher(glob)
    return (stat for stat in objects.list_all(prefix) if counts.match(objects.name(stat.path)))


def code(path: str, etag: str) -> int:
    """60 bits of the SHA-256 of both: as `tables.codes` has them of the rows.

    Among a million images one in a trillion shares another's; it would wait for reconciliation.
    """
    return int(sha256(f"{path}\n{etag}".encode()).hexdigest()[:15], 16)


def waiting(root: str, checkpoint_uri: str) -> list[int]:
    """The codes of what listings before have named and no committed batch of the checkpoint has taken."""
    read = checkpoint.manifests_read(checkpoint_uri)
    manifests = [stat.path for stat in objects.list_all(layout.folder(root, "events")) if f"-{WRITER}-" in stat.path]
    lines = (line for uri in manifests if uri not in read for line in objects.read(uri).decode().splitlines())
    return [code(event.path, event.etag or "") for event in map(events.parse_line, lines)]


@dataclass
class Listing:
    """What was there when the prefix was last listed; `known` tells, as codes, what need not be named at the start."""

    settings: IngestSettings
    known: Callable[[], NDArray[np.int64]]

    def __post_init__(self) -> None:
        self._before: NDArray[np.int64] | None = None
        self._failure: BaseException | None = None
        self._begun, self._stopped = threading.Event(), threading.Event()

    def look(self) -> int:
        """Lists the prefix and writes manifests of what was not there before, or not with that etag; says of how many images."""
        named, listed = 0, array("q")
        lines = min(LINES, self.settings.max_files_per_trigger)
        for body in events.manifests(self._unseen(listed), lines):
            now = datetime.now(UTC)
            objects.write(events.manifest_uri(self.settings.root, now, events.manifest_name(WRITER, now, body)), body)
            named += body.count(b"\n")
            self._begun.set()
        if not self._stopped.is_set():
            self._before = np.unique(np.frombuffer(listed, np.int64))
        return named

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Lists the prefix again and again while the block runs, which begins once there is something to do, or nothing."""
        self._stopped.clear()
        self._begun.clear()
        thread = threading.Thread(target=self._repeat, daemon=True, name="fruitpipe-listing")
        thread.start()
        try:
            self._begun.wait()
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
                self.look()
                self._begun.set()
                self._stopped.wait(pause(self.settings.trigger_seconds, time.time(), time.monotonic() - began))
        except BaseException as error:  # noqa: BLE001 - `check` raises it, where somebody hears it
            self._failure = error
        finally:
            self._begun.set()

    def _unseen(self, listed: array[int]) -> Iterator[events.ImageEvent]:
        """What the last listing lacks, but for what was erased and kept; `listed` takes the code of everything that is there."""
        before = np.unique(self.known()) if self._before is None else self._before
        stats = images(self.settings.images, self.settings.glob)
        while not self._stopped.is_set() and (chunk := list(islice(stats, LINES))):
            codes = [code(stat.path, stat.etag) for stat in chunk]
            listed.extend(codes)
            unseen = [stat for stat, seen in zip(chunk, _among(before, codes), strict=True) if not seen]
            erased = Tombstones.of(self.settings.root) if unseen else Tombstones(None)
            for stat in unseen:
                if not erased.keeps_out(stat.path):
                    yield events.ImageEvent("created", stat.path, stat.etag, stat.length)


def pause(trigger_seconds: float, now: float, took: float) -> float:
    """Seconds until the next listing, so that it ends just before a trigger of Spark's, which come at whole multiples."""
    if not trigger_seconds:
        return PAUSE_SECONDS
    return trigger_seconds - (now + took + BEFORE_TRIGGER_SECONDS) % trigger_seconds


def _among(sorted_codes: NDArray[np.int64], codes: list[int]) -> list[bool]:
    wanted = np.array(codes, np.int64)
    places = np.searchsorted(sorted_codes, wanted)
    found: list[bool] = (np.append(sorted_codes, -1)[places] == wanted).tolist()
    return found
