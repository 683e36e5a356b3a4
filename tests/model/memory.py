"""The product in this process and in memory: its own code from the jobs down, with stand-ins at its doors.

| stands in | for | at |
|---|---|---|
| `store.Store` | a folder or S3 | `objects.local`, `objects.s3` |
| `table.Table` | Delta's writing and reading | what `delta`, `commits` and `upkeep` ask of Java; deltalake |
| `spark.Session`, `Query` | Spark, whose tasks never fail | `session.open`, `query.start`, `first_failure.ends` |
| a sum over the pixels | MobileNetV2 | `network_for`, `fingerprint` and `ModelFile` |
| a lease that never ends | the lock | `lease.held`: the fence alone keeps a second writer out |

All else is the product: listing, manifests, checkpoint's reading, batches, chunks, workers' code, decoder, judge, removals,
moves, the fence, its SQL, erasures and their search, housekeeping, reconciliation, moments, PCA, versions and their pointer.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import numpy as np

from fruitpipe import objects
from fruitpipe.extractor import featurise
from fruitpipe.ingest import query
from fruitpipe.jobs import ingest, ingest_parts, reconcile
from fruitpipe.objects import bucket_settings
from fruitpipe.pictures import decoding
from fruitpipe.pictures.decoding import decode
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing
from fruitpipe.refit import changes, on_spark
from fruitpipe.root import lease
from fruitpipe.runtime import first_failure, session
from fruitpipe.table import commits, delta, snapshot, upkeep
from tests.model.opened import Queries
from tests.model.spark import Context, Feed, Query, Session
from tests.model.store import Killed, Kind, Store
from tests.model.table import Table

DIMENSIONS = 16
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
decoded = functools.cache(decode)


@dataclass(frozen=True)
class Weights:
    """A model file: its fingerprint is its name."""

    name: str = "v1"
    preprocessing: Preprocessing = STANDARD


@functools.cache
def vector_of(body: bytes, name: str) -> list[float]:
    """What the stand-in for the network makes of a picture."""
    return network_for(Weights(name))(decoded(body).pixels).tolist()


def network_for(model: Weights) -> Any:
    """Sums of the pixels in stripes, other ones for another model."""
    shift = int(model.name.removeprefix("v"))
    return lambda pixels: (pixels.reshape(DIMENSIONS, -1).mean(axis=1) * shift + shift).astype(np.float32)


class Memory:
    """A bucket or folder, a root, and the product over them."""

    def __init__(self, kind: Kind) -> None:
        place = "file://" if kind == "folder" else "s3://bucket"
        self.images, self.root = f"{place}/images", f"{place}/root"
        self.store, self.table = Store(kind), Table(self.root)
        self.spark, self.model = Session(self.table), Weights()
        with contextlib.ExitStack() as stack:  # one that cannot be replaced leaves none replaced
            for where, name, stand_in in self._doors():
                stack.enter_context(mock.patch.object(where, name, stand_in, create=name == "s3"))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """The doors are the product's own again."""
        self._stack.close()

    def put(self, uri: str, body: bytes, second: int) -> None:
        """An upload, in a second of the model's clock."""
        self.store.put(uri, body, datetime.fromtimestamp(BEGAN.timestamp() + second, UTC))

    def remove(self, uri: str) -> None:
        """The owner's own removal."""
        self.store.take(uri)

    def rows(self) -> list[dict[str, Any]]:
        """The table's."""
        return self.table.now.rows() if self.table.versions else []

    def rows_at(self, version: int) -> list[dict[str, Any]]:
        """Those that the table had at a version."""
        return self.table.versions[version].rows()

    def digest(self, body: bytes) -> list[list[float]]:
        """The vectors that a picture may have, that of the present extractor first."""
        last = int(self.model.name.removeprefix("v"))
        return [vector_of(body, f"v{number}") for number in range(last, 0, -1)]

    def upgrade(self) -> None:
        """Another extractor is installed."""
        self.model = Weights(f"v{int(self.model.name.removeprefix('v')) + 1}")

    @contextlib.contextmanager
    def dying(self, at_write: int | None) -> Iterator[None]:
        """The process ends at its nth write below the root. Raises Killed."""
        left, others = iter(range(at_write or 0)), set(threading.enumerate())

        def count(uri: str) -> None:
            if uri.startswith(self.root) and next(left, None) is None:
                self.store.dead = True

        self.store.before_write = count if at_write else lambda _: None
        try:
            yield
            if self.store.dead:  # a thread of its own met it
                raise Killed
        finally:
            _wait_for_threads(others)
            self.store.before_write, self.store.dead = lambda _: None, False

    @contextlib.contextmanager
    def suspended(self, other: Any) -> Iterator[None]:
        """Just before the first commit of rows, what that builds on is known already, `other` writes the table."""

        def once() -> None:
            self.table.suspended, conf = lambda: None, self.spark.conf
            self.spark.conf = type(conf)()  # the other's own
            other()
            self.spark.conf = conf

        self.table.suspended = once
        try:
            yield
        finally:
            self.table.suspended = lambda: None

    def compact(self) -> None:
        """The files become one."""
        upkeep.compact(self.spark, self.root, 1_000_000)

    def vacuum(self, now: datetime) -> None:
        """Old files go, at a moment of the model's clock."""
        self.table.clock = lambda: now
        upkeep.vacuum(self.spark, self.root, 1, now)  # type: ignore[arg-type]
        self.table.clock = lambda: datetime.now(UTC)

    def bodies(self) -> Iterator[tuple[str, bytes]]:
        """All that lies below the root, earlier versions that a bucket keeps as well."""
        held = [*((uri, file.body) for uri, file in self.store.files.items()), *self.store.earlier]
        yield from ((uri, body) for uri, body in held if uri.startswith(f"{self.root}/"))

    def _doors(self) -> Iterator[tuple[Any, str, Any]]:
        table = self.table
        yield from ((objects, name, self.store) for name in ("local", "s3"))
        yield from ((snapshot, "DeltaTable", table.open), (snapshot, "QueryBuilder", Queries))
        yield from ((delta, name, getattr(table, name)) for name in ("create", "describe"))
        for name in ("merge", "remove", "remove_others", "outcomes", "with_features_of_moved"):
            yield commits, name, getattr(table, name)
        yield upkeep, "_hush", lambda *_: None
        off = {name: bucket_settings.Setting(name, operation, "off") for name, (operation, _) in bucket_settings.SETTINGS.items()}
        yield bucket_settings, "of_bucket", lambda _: off
        yield from ((upkeep, "compact", table.compact), (changes, "pin", table.pin))
        yield delta, "changes", lambda _spark, _root, after, to: Feed(table.changes(after, to))
        yield from ((changes, "_of_type", Feed.of_type), (changes, "_net", Feed.net))
        yield from ((on_spark, "TaskContext", Context), (session, "open", lambda *_: self.spark), (query, "start", Query))
        yield lease, "held", _held
        yield first_failure, "ends", lambda *_: contextlib.nullcontext([])
        for job in (ingest, reconcile):
            yield job, "ModelFile", mock.Mock(load=lambda *_: self.model)
        for module in (ingest_parts, reconcile, featurise):
            yield module, "fingerprint", lambda model: model.name
        yield from ((featurise, "network_for", network_for), (decoding, "decode", decoded))


@contextlib.contextmanager
def _held(_root: str) -> Iterator[Any]:
    yield mock.Mock(check=lambda: None)


def _wait_for_threads(others: set[threading.Thread]) -> None:
    """None of a process that has ended goes on."""
    for thread in set(threading.enumerate()) - others:
        thread.join()
