"""A stream for the benchmarks, run in this process: who waits for rows sees them at the moment of their commit.

What runs is the job's own: its source, its batches, its commit. Only what starts and ends it is the benchmark's.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fruitpipe import objects
from fruitpipe.erasure.execution import Eraser
from fruitpipe.extractor.inference import ModelFile
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.ingest.query import start
from fruitpipe.ingest.repeated_listing import RepeatedListing
from fruitpipe.ingest.stream import listed
from fruitpipe.jobs import ingest, ingest_with_spark
from fruitpipe.pictures import naming
from fruitpipe.root import layout, lease, manifests
from fruitpipe.runtime import session
from fruitpipe.table import delta
from fruitpipe.table.fence import Fence
from fruitpipe.table.kept_hashes import KeptRowHashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pyspark.sql import SparkSession

    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.runtime.progress import Commit
    from fruitpipe.settings import IngestSettings

PROGRESSES = 2_000  # of Spark's reports on its triggers; its default keeps 100
PHASES = ("latestOffset", "walCommit", "getBatch", "queryPlanning", "addBatch", "commitOffsets")


@dataclass
class Watched:
    """Notes when each image's row is committed, and how long the parts of a batch took."""

    upsert: Callable[[Sequence[ImageEvent], Callable[[], bool]], Iterable[Commit]]
    committed: dict[str, float] = field(default_factory=dict)
    parts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._news = threading.Condition()

    def __call__(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Commit]:
        """The stream calls it with a batch; each commit is of the next so many images."""
        done = 0
        for commit in self.upsert(named, stopping):
            now, images = time.perf_counter(), commit.outcomes.total()
            with self._news:
                self.committed |= {event.path: now for event in named[done : done + images]}
                self._news.notify_all()
            done += images
            yield commit

    def wait(self, paths: Sequence[str], seconds: float = 300) -> float:
        """Waits until each of `paths` has its row; returns the moment of the last commit."""
        with self._news:
            if not self._news.wait_for(lambda: self.committed.keys() >= set(paths), seconds):
                raise TimeoutError(f"no row of one of {len(paths)} images after {seconds} s")
            return max(self.committed[path] for path in paths)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, a function or a method, whose time is noted under `name`; a generator is run to its end."""

        def run(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                done = work(*given, **named)
                return list(done) if isinstance(done, Generator) else done
            finally:
                self.parts[name].append(time.perf_counter() - began)

        return run


@contextlib.contextmanager
def running(
    spark: SparkSession, settings: IngestSettings, upsert: Callable[..., Any] | None = None
) -> Iterator[tuple[Watched, Any]]:
    """The stream of `settings` while the block lasts: what watches its rows, and Spark's query."""
    spark.conf.set("spark.sql.streaming.numRecentProgressUpdates", PROGRESSES)
    delta.create(spark, settings.root)
    hashes = KeptRowHashes(settings.root, settings.images)
    objects.write(objects.join(layout.folder(settings.root, "events"), "_exists"), b"")
    prefix = ingest.listing(settings, naming.of(settings.root), hashes)
    with lease.held(settings.root) as held, session.explained():
        fence = Fence(settings.root, held.check)
        watched = Watched(
            upsert or ingest_with_spark.upserter(spark, ModelFile.load(settings.model, settings.extractor), fence, prefix, hashes)
        )
        batches = Batches(settings, watched, Eraser(spark, settings, fence))  # type: ignore[arg-type]
        repeated = RepeatedListing(prefix)
        with contextlib.redirect_stdout(io.StringIO()), listed(settings, prefix, repeated):
            query = start(spark, settings, batches)
            try:
                yield watched, query
            finally:
                batches.finish(query)
                query.stop()
                repeated.check()


def announce(root: str, paths: Sequence[str], events_a_manifest: int = 1000) -> None:
    """Writes what the collector would: manifests that say that images were created."""
    now = datetime.now(UTC)
    created = (manifests.ImageEvent("created", path, event_time=now) for path in paths)
    for body in manifests.manifests(created, events_a_manifest):
        objects.write(manifests.manifest_uri(root, now, manifests.manifest_name("s3", now, body)), body)


def phases(query: Any) -> dict[str, list[float]]:
    """Seconds of each phase of the triggers that found something, as Spark reports them."""
    found = [progress["durationMs"] for progress in query.recentProgress if progress["numInputRows"]]
    return {phase: [durations.get(phase, 0) / 1000 for durations in found] for phase in (*PHASES, "triggerExecution")}
