"""Processes each micro-batch on the driver: its lines become one event an image, and these become rows of the table."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.ingest.query_state import POLL_SECONDS, QueryState
from fruitpipe.ingest.tally import Tally
from fruitpipe.output import say
from fruitpipe.pictures import globs
from fruitpipe.root import layout, manifests
from fruitpipe.runtime import lineage

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence

    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from fruitpipe.erasure.execution import Eraser
    from fruitpipe.ingest.upsert import Upsert
    from fruitpipe.settings import IngestSettings


@dataclass
class Batches:
    """The function that the query calls with each micro-batch (`foreachBatch`), and its state.

    within_reach: leaves out events whose images cannot be looked at now. told: of each batch.
    """

    settings: IngestSettings
    upsert: Upsert
    eraser: Eraser
    tally: Tally = field(default_factory=Tally)
    renewal_due: Callable[[], bool] = lambda: False
    within_reach: Callable[[Sequence[manifests.ImageEvent]], list[manifests.ImageEvent]] = list
    told: lineage.Lineage = field(default_factory=lineage.Lineage)

    def __post_init__(self) -> None:
        self.begin_query()
        self._job = job(self.settings)
        self._in_progress = threading.Lock()

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Brings the table to what the object store has for each image that the batch names."""
        with self._in_progress:
            if not self.state.is_running:
                raise self.state.cut_short()
            try:
                with self.told.run(self._job) as counts:
                    is_whole = self._commit(batch, batch_id, counts)
            except BaseException as error:
                self.state.fail(error)
                raise
            if not is_whole:
                raise self.state.cut_short()
            self._latest_id = batch_id

    def begin_query(self) -> None:
        """Resets the state for a new query."""
        self.state, self._latest_id = QueryState(), -1

    def between(self, work: Callable[[], object]) -> None:
        """Calls `work` unless a batch is in progress; a batch that comes meanwhile waits. After a failure it does nothing."""
        if self._in_progress.acquire(timeout=POLL_SECONDS):  # no longer, so that a signal to stop need not wait for the batch
            try:
                if not self.state.failure:
                    work()
            finally:
                self._in_progress.release()

    def recompute(self, named: Sequence[manifests.ImageEvent]) -> None:
        """Recomputes images of another extractor; to be called between batches."""
        since = time.monotonic()
        with self.told.run(self._job) as counts:
            for commit in self.upsert(self.within_reach(self.eraser.admit(named)), lambda: False):
                since = self.tally.add("stale", commit, since, counts)

    def finish(self, query: StreamingQuery) -> None:
        """Lets no other batch begin, and waits until that in progress is committed in table and checkpoint, or cut short."""
        self.state.end()
        with self._in_progress:
            pass
        while self._latest_id > _last_progress(query) and not query.awaitTermination(POLL_SECONDS):  # type: ignore[arg-type]
            pass

    def wants_pause(self) -> bool:
        """Whether the query must end for an erasure or a new checkpoint. With `once` it ends by itself."""
        return not self.settings.once and (self.eraser.is_due() or self.renewal_due())

    def _commit(self, batch: DataFrame, batch_id: int, counts: Counter[str]) -> bool:
        """Commits the batch chunk by chunk, and counts. Returns whether all of it is committed; if not, the query had to end."""
        named, rejected = named_images(line for (line,) in batch.collect())
        named = self.within_reach(self.eraser.admit(named))
        if rejected:
            self._keep(rejected, batch_id)
        done, since = 0, time.monotonic()
        for commit in self.upsert(named, lambda: not self.state.is_running):
            done, since = done + commit.outcomes.total(), self.tally.add(f"batch {batch_id}", commit, since, counts)
        return done >= len(named)

    def _keep(self, rejected: Sequence[str], batch_id: int) -> None:
        """Writes lines that are no events into `<root>/rejected`."""
        body = "".join(f"{line}\n" for line in rejected).encode()
        # A new checkpoint counts from 0 again, hence the hash; the same batch, run again, writes the same file.
        name = f"{batch_id:09d}-{sha256(body).hexdigest()[:16]}.jsonl"
        target = objects.join(layout.folder(self.settings.root, "rejected"), name)
        objects.write(target, body)
        say(f"batch {batch_id}: {len(rejected)} lines of manifests are not events; kept in {target}")


def job(settings: IngestSettings) -> lineage.Job:
    """What a server of lineage is told that a batch reads and writes."""
    read, written = globs.folders(settings.images, settings.glob), layout.folder(settings.root, "features")
    return lineage.Job("fruitpipe.ingest", read, (written,))


def named_images(lines: Iterable[str]) -> tuple[list[manifests.ImageEvent], list[str]]:
    """One event for each image that these lines of manifests name, and the lines that are no events."""
    named, rejected = [], []
    for line in lines:
        try:
            named.append(manifests.parse_line(line))
        except ValueError:
            rejected.append(line)
    return manifests.latest(named), rejected


def _last_progress(query: StreamingQuery) -> int:
    progress = query.lastProgress
    return progress["batchId"] if progress else -1
