"""A run with `--once` for few new images, without Spark: `local_workers` featurise, and each commit is an append.

Whatever takes more is left to Spark, by NeedsSpark and before anything is changed: rows that are there already, erasures, lines
that are no events, upkeep. Spark's checkpoint knows nothing of such a run, so the manifests that it has read are removed at its
end. A run that ends before leaves them, and the next one finds the rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure.admission import Admission
from fruitpipe.errors import NotFound
from fruitpipe.ingest import root_upkeep
from fruitpipe.ingest.micro_batch import job, named_images
from fruitpipe.ingest.signals import signals
from fruitpipe.ingest.tally import Tally
from fruitpipe.output import say
from fruitpipe.root import layout
from fruitpipe.runtime import lineage
from fruitpipe.table import delta, file_commits
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from fruitpipe.ingest.upsert import Upsert
    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.settings import IngestSettings
    from fruitpipe.table.fence import Fence
    from fruitpipe.table.lookup import Known

READERS = 16  # manifests read, and removed, at the same time
BATCH = "batch 0"  # what the lines of commits call it, as Spark counts its batches


class NeedsSpark(Exception):
    """What waits is more than a few new images. Nothing has been changed."""


@dataclass(frozen=True)
class Appends:
    """The commits of such a run: appends alone. The others raise NeedsSpark, for which there is no cause under the lease."""

    root: str
    fence: Fence
    takes_files = True

    def add(self, files: Collection[str], counts: Mapping[str, int]) -> None:
        """Adds new rows by their files."""
        file_commits.add(self.root, files, self.fence, counts)

    def merge(self, *_: object) -> None:
        """Raises NeedsSpark."""
        raise NeedsSpark

    remove = remove_others = merge


@dataclass(frozen=True)
class SmallRun:
    """Brings the images of some manifests into the table.

    upsert: its commits are Appends. look_up: the table's rows of images; not the Upsert's own, for which what was asked for once
    counts as known. within_reach, told: as for `Batches`.
    """

    settings: IngestSettings
    upsert: Upsert
    look_up: Callable[[Sequence[str]], dict[str, Known]]
    tally: Tally
    within_reach: Callable[[Sequence[ImageEvent]], list[ImageEvent]] = list
    told: lineage.Lineage = field(default_factory=lineage.Lineage)

    def __call__(self, uris: Sequence[str]) -> None:
        """Featurises the images that the manifests at `uris` name. Raises NeedsSpark."""
        named = self._named(uris)
        if self.look_up([event.path for event in named]):
            raise NeedsSpark
        self._prepare()
        named = self.within_reach(Admission(self.settings.root).admit(named))
        self.tally.bar.expect(lambda: len(named))
        stop, done = threading.Event(), 0
        with signals(stop), self.told.run(job(self.settings)) as counts:
            since = time.monotonic()
            for commit in self.upsert(named, stop.is_set):
                since, done = self.tally.add(BATCH, commit, since, counts), done + commit.outcomes.total()
        if done >= len(named):
            carried_out(uris)
        else:
            say("ingest: stopped after what was in progress; the next run goes on")

    def _named(self, uris: Sequence[str]) -> list[ImageEvent]:
        """The images that manifests name as created. Raises NeedsSpark where there are too many, or other lines."""
        lines: list[str] = []
        if len(uris) > self.settings.images_without_spark:
            raise NeedsSpark
        with ThreadPoolExecutor(READERS, "fruitpipe-manifests") as readers:
            for body in readers.map(_read, uris):
                lines += _lines(body)
                if len(lines) > self.settings.images_without_spark:
                    raise NeedsSpark
        named, rejected = named_images(lines)
        if rejected or any(event.event != "created" for event in named):
            raise NeedsSpark
        return named

    def _prepare(self) -> None:
        """Makes a new root's table. Raises NeedsSpark where a compaction is due, or only Spark can write it."""
        root = self.settings.root
        try:
            table = Snapshot(root)
        except NotFound:
            delta.begin(root, self.upsert.fence, self.settings.vacuum_hours)
            root_upkeep.record_cleared(root, datetime.now(UTC))
            objects.write(objects.join(layout.folder(root, "events"), "_exists"), b"")
            return
        small = table.small_files(root_upkeep.SMALL_BYTES)
        if root_upkeep.is_compaction_due(self.settings, small) or not file_commits.can_commit(table):
            raise NeedsSpark


def carried_out(uris: Sequence[str]) -> None:
    """Removes manifests of which each event is in the table."""
    with ThreadPoolExecutor(READERS, "fruitpipe-remove") as removers:
        list(removers.map(objects.delete, uris))


def _read(uri: str) -> bytes:
    """The manifest. Raises NeedsSpark for one that went since it was listed, which Spark passes over."""
    try:
        return objects.read(uri)
    except NotFound as error:
        raise NeedsSpark from error


def _lines(body: bytes) -> list[str]:
    """The lines of a manifest. Raises NeedsSpark for what is no UTF-8, which Spark tells of."""
    try:
        return body.decode().splitlines()
    except UnicodeDecodeError as error:
        raise NeedsSpark from error
