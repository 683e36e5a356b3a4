"""Upkeep of the stream's root: compacts small files between batches, and removes old files in the background.

It keeps years of small commits as cheap to read as a few large ones. Compaction makes a commit, so it runs between two batches.
It rewrites at most the files of the batches since the last time and one file that is still small. Old files, which nobody reads,
are removed beside the batches. After a kill everything is whole, and the next run does the rest.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import NotFound
from fruitpipe.ingest import checkpoint
from fruitpipe.output import say
from fruitpipe.root import layout
from fruitpipe.table import upkeep
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.settings import IngestSettings

SMALL_BYTES = 1_000_000  # a larger file takes longer to read than to open, and is never rewritten
MANIFESTS_SECONDS = 3600.0  # from one removal of manifests that are read to the next: Spark lists all that are there
MOST_NAMED = 100_000  # gone manifests that a checkpoint may name before it is replaced: it writes that list again and again
REMOVERS = 16  # objects removed at the same time
LEFTOVER_DAYS = 1.0  # after which an unfinished file counts as a killed process's
WRITTEN = ("checkpoints", "events", "stale")  # folders in which such files may name images


@dataclass
class RootUpkeep:
    """Compacts small files and removes old ones; to be called when no batch is in progress.

    `before_commit` raises where this process may no longer write.
    """

    spark: SparkSession
    settings: IngestSettings
    before_commit: Callable[[], None]

    def __post_init__(self) -> None:
        self._looked_at: int | None = None
        self._cleared_at = last_cleared(self.settings.root) or record_cleared(self.settings.root, datetime.now(UTC))
        self._manifests_at = time.monotonic()
        self._clearing: threading.Thread | None = None
        self._named = 0
        self._failure: BaseException | None = None

    def step(self, commits: int) -> None:
        """Does what is due after so many commits of this process. Raises the error of a removal in the background."""
        if self._failure:
            raise self._failure
        if self._is_compaction_due(commits):
            self._looked_at = commits
            self._compact()
        if self._is_clearing_due():
            now = datetime.now(UTC)  # no batch is in progress: what a later commit names is not written yet
            self.before_commit()
            self._cleared_at = now
            self._begin(lambda: self._clear(now))
        if time.monotonic() - self._manifests_at >= MANIFESTS_SECONDS and not self._is_clearing():
            self._manifests_at = time.monotonic()
            self._begin(self._clear_manifests)

    def wants_renewal(self) -> bool:
        """Whether the stream's checkpoint must be replaced, as it names too many manifests that are gone."""
        return self._named >= MOST_NAMED

    def renewed(self) -> None:
        """Notes that the checkpoint was replaced."""
        self._named = 0

    def finish(self, commits: int) -> None:
        """Does what is due at the end of a run that ends by itself, and waits for it."""
        self._looked_at = self._looked_at if commits == self._looked_at else None
        self.step(commits)
        self.wait()

    def wait(self) -> None:
        """Waits for a removal in the background, and raises its error. An erasure may cut the log only after that."""
        if self._clearing:
            self._clearing.join()
        if self._failure:
            raise self._failure

    def _is_clearing_due(self) -> bool:
        """With 0 hours once a process, and not at every call of `step`."""
        is_done = self._clearing is not None and not self.settings.clear_hours
        return not (is_done or self._is_clearing()) and is_clearing_due(self.settings, self._cleared_at)

    def _is_compaction_due(self, commits: int) -> bool:
        every = self.settings.compact_commits
        if not every or not commits:
            return False
        return self._looked_at is None or commits - self._looked_at >= every

    def _compact(self) -> None:
        """Compacts small files, once there are as many as `compact_commits` and at least two."""
        if not is_compaction_due(self.settings, Snapshot(self.settings.root).small_files(SMALL_BYTES)):
            return
        began = time.monotonic()
        self.before_commit()
        compacted = upkeep.compact(self.spark, self.settings.root, SMALL_BYTES)
        said = f"{compacted.number} small files of {compacted.size_bytes / 1e6:.1f} MB compacted"
        say(f"upkeep: {said} in {time.monotonic() - began:.1f} s")

    def _is_clearing(self) -> bool:
        return self._clearing is not None and self._clearing.is_alive()

    def _begin(self, work: Callable[[], None]) -> None:
        """Runs `work` on a thread beside the batches."""

        def kept_failure() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - `step` raises it between the next two batches
                self._failure = error

        self._clearing = threading.Thread(target=kept_failure, name="fruitpipe-clearing", daemon=True)
        self._clearing.start()

    def _clear(self, now: datetime) -> None:
        began = time.monotonic()
        removed = clear(self.spark, self.settings, now)
        record_cleared(self.settings.root, datetime.now(UTC))
        say(f"upkeep: removed {removed} in {time.monotonic() - began:.1f} s")

    def _clear_manifests(self) -> None:
        _, self._named = clear_manifests(self.settings)


def last_cleared(root: str) -> datetime | None:
    """When old files were last removed; None where there is no record, as in a new root."""
    try:
        return datetime.fromisoformat(json.loads(objects.read(layout.place(root, layout.CLEARED)))["cleared_at"]).astimezone(UTC)
    except (
        NotFound,
        ValueError,
        KeyError,
        TypeError,
    ):  # a damaged record counts as none: old files are removed now
        return None


def record_cleared(root: str, when: datetime) -> datetime:
    """Notes that there is nothing older to remove; returns `when`."""
    objects.write(layout.place(root, layout.CLEARED), json.dumps({"cleared_at": when.isoformat(timespec="seconds")}).encode())
    return when


def is_compaction_due(settings: IngestSettings, small_files: int) -> bool:
    """Whether so many small files are worth a compaction. Fewer take a reader little time to open."""
    return settings.compact_commits > 0 and small_files >= max(2, settings.compact_commits)


def is_clearing_due(settings: IngestSettings, cleared_at: datetime | None) -> bool:
    """Whether old files must be removed. cleared_at: when they last were; None: not known, so they must.

    A time that is to come, by as much, is of a clock that was wrong.
    """
    return cleared_at is None or abs(datetime.now(UTC) - cleared_at) >= timedelta(hours=settings.clear_hours)


def clear(spark: SparkSession, settings: IngestSettings, now: datetime) -> str:
    """Removes old files by the settings, and returns a phrase that counts them.

    now: a time at which this process had no batch in progress.
    """
    upkeep.vacuum(spark, settings.root, settings.vacuum_hours, now)
    upkeep.clear_log(settings.root, now)
    manifests, _ = clear_manifests(settings)
    rejected = _remove(layout.folder(settings.root, "rejected"), settings.rejected_days, bool)
    leftovers = sum(_remove(layout.folder(settings.root, name), LEFTOVER_DAYS, _is_leftover) for name in WRITTEN)
    return f"{manifests} manifests, {rejected} files of rejected lines, {leftovers} leftovers and the table's old files"


def clear_manifests(settings: IngestSettings) -> tuple[int, int]:
    """Removes manifests that are read and old enough; returns how many, and how many gone ones the checkpoints name.

    Only gone ones count, as a new checkpoint would read those that stay again.
    """
    checkpoints, events = (layout.folder(settings.root, name) for name in ("checkpoints", "events"))
    read = set[str]().union(*(checkpoint.manifests_read(objects.join(checkpoints, one)) for one in _folders(checkpoints)))
    removed = _remove(events, settings.manifest_days, read.__contains__)
    return removed, len(read.difference(stat.path for stat in objects.list_all(events)))


def _folders(uri: str) -> list[str]:
    return [name.rstrip("/") for name in objects.children(uri) if name.endswith("/")]


def _remove(folder: str, days: float, may_go: Callable[[str], bool]) -> int:
    oldest = datetime.now(UTC) - timedelta(days=days)
    old = [stat.path for stat in objects.list_all(folder) if stat.modification_time <= oldest and may_go(stat.path)]
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-remove") as removers:
        return sum(1 for _ in removers.map(objects.delete, old))


def _is_leftover(path: str) -> bool:
    """Whether the file has the name that it bears until it is whole: `.12.9ab…tmp` by Spark, or one of ours."""
    name = objects.name(path)
    return (name.startswith(".") and name.endswith(".tmp")) or objects.is_unfinished(path)
