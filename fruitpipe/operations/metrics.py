"""Metrics of a stream for Prometheus, by its own client library: what its commits did, and the state of its root when asked.

No label holds a name of an image, a folder or a person, so their number is small and an erasure has nothing to do here.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe.erasure import register
from fruitpipe.errors import FruitpipeError, MissingRequirement, NotFound, WrongUsage
from fruitpipe.output import say
from fruitpipe.refit import pointer
from fruitpipe.root import lease
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.metrics_core import Metric

    from fruitpipe.runtime.progress import Commit

ROOT_SECONDS = 15.0  # from one look at the root to the next, however often somebody asks
LAGS = (1, 5, 15, 60, 300, 900, 3600, 86400)
GAUGES = {
    "root_readable": "whether the state of the root could be read; if not, the others of it are missing",
    "table_version": "version of the features table",
    "table_rows": "rows of the features table",
    "table_files": "data files of the features table",
    "table_bytes": "bytes of the data files of the features table",
    "manifests_waiting": "manifests that no committed batch has read: the backlog",
    "manifests_oldest_seconds": "age of the oldest manifest that waits",
    "lease_held": "whether a stream holds the root",
    "versions_published": "published versions of the reduced features",
    "version_age_seconds": "since the version that readers get became it",
    "erasures": "requests to erase, by status",
    "erasures_oldest_seconds": "age of the oldest request to erase without a certificate",
}


class Sample(NamedTuple):
    """A value of a gauge, and of its label where it has one."""

    name: str
    value: float
    status: str | None = None


def state(root: str, now: datetime) -> Iterator[Sample]:
    """The state of a root; what is not there yet is left out. Raises FruitpipeError where it cannot be read."""
    table = _table(root)
    if table:
        files = table.files()
        yield Sample("table_version", table.version)
        yield Sample("table_rows", sum(file.rows for file in files))
        yield Sample("table_files", len(files))
        yield Sample("table_bytes", sum(file.size_bytes for file in files))
    from fruitpipe.operations import root_checks  # imports the refit's packages, which a run without metrics does not need

    waiting = root_checks.ages_of_waiting(root, now)
    yield Sample("manifests_waiting", waiting.number)
    yield Sample("manifests_oldest_seconds", (now - waiting.oldest).total_seconds() if waiting.oldest else 0)
    holder = lease.holder(root)
    yield Sample("lease_held", holder is not None and holder.free_in_seconds != 0)
    found = pointer.find(root)
    yield Sample("versions_published", len(found.versions) if found else 0)
    if found and found.switched_at:
        yield Sample("version_age_seconds", (now - datetime.fromisoformat(found.switched_at)).total_seconds())
    yield from _erasures(root, now)


def _table(root: str) -> Snapshot | None:
    try:
        return Snapshot(root)
    except NotFound:
        return None


def _erasures(root: str, now: datetime) -> Iterator[Sample]:
    records = register.every(root)
    for status in ("requested", "waiting", "searching", "incomplete", "done"):
        yield Sample("erasures", sum(one.status == status for one in records), status)
    asked = [datetime.fromisoformat(one.requested_at) for one in records if one.status != "done"]
    yield Sample("erasures_oldest_seconds", (now - min(asked)).total_seconds() if asked else 0)


class Metrics:
    """The metrics of one stream, in a registry of its own. clock: seconds, for the time between two looks at the root."""

    def __init__(self, root: str, clock: Callable[[], float] = time.monotonic) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._root, self._clock = root, clock
        self._looked_at: float | None = None
        self._state: list[Sample] = []
        self._looking = threading.Lock()
        self.registry = CollectorRegistry(auto_describe=False)
        counter = partial(Counter, namespace="fruitpipe", registry=self.registry)
        self._images = counter("images", "images that commits of this process brought, by outcome", ["outcome"])
        self._errors = counter("errors", "images without features, by reason", ["reason"])
        self._phases = counter("phase_seconds", "work on chunks, by phase; two chunks overlap", ["phase"])
        self._commits = counter("commits", "commits of chunks by this process")
        told = "longest from an upload to its row, of each commit"
        self._lag = Histogram("lag_seconds", told, namespace="fruitpipe", registry=self.registry, buckets=LAGS)
        self.registry.register(self)

    def count(self, commit: Commit) -> None:
        """Counts a commit of this process."""
        self._commits.inc()
        for outcome, images in commit.outcomes.items():
            self._images.labels(outcome).inc(images)
        for reason, images in commit.errors.items():
            self._errors.labels(reason).inc(images)
        for phase, seconds in commit.seconds.items():
            self._phases.labels(phase).inc(seconds)
        if commit.lag_seconds is not None:
            self._lag.observe(max(0.0, commit.lag_seconds))

    def collect(self) -> Iterator[Metric]:
        """The gauges of the root, as the registry asks for them at each scrape."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        found = self._current()
        for name, told in GAUGES.items():
            family = GaugeMetricFamily(f"fruitpipe_{name}", told, labels=["status"] if name == "erasures" else [])
            for sample in found:
                if sample.name == name:
                    family.add_metric([sample.status] if sample.status else [], sample.value)
            yield family

    def _current(self) -> list[Sample]:
        """The state, looked at by one scrape at a time: another one that comes meanwhile waits for what that finds."""
        with self._looking:
            if self._looked_at is None or self._clock() - self._looked_at >= ROOT_SECONDS:
                self._state = self._look()
                self._looked_at = self._clock()
            return self._state

    def _look(self) -> list[Sample]:
        try:
            return [*state(self._root, datetime.now(UTC)), Sample("root_readable", 1)]
        except FruitpipeError:  # the stream itself says what is the matter
            pass
        except Exception as error:  # noqa: BLE001 - whatever a reader of Delta's raises, the counters are told
            say(f"metrics: the root could not be read ({type(error).__name__}: {error})", to=sys.stderr)
        return [Sample("root_readable", 0)]


@contextmanager
def served(root: str, port: int | None, host: str) -> Iterator[Callable[[Commit], None]]:
    """Serves the metrics of a stream while the block runs, and yields what counts a commit; without a port it does nothing.

    Raises MissingRequirement, WrongUsage where the port cannot be listened at.
    """
    if port is None:
        yield lambda _: None
        return
    try:
        from prometheus_client import start_http_server
    except ImportError as error:
        raise MissingRequirement("--metrics-port needs prometheus_client; run: pip install 'fruitpipe[metrics]'") from error
    metrics = Metrics(root)
    try:
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise WrongUsage(f"--metrics-port {port}: cannot be listened at on {host} ({error.strerror}); give another") from error
    try:
        yield metrics.count
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
