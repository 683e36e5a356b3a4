"""Featurises references on the workers, and finds the image that crashes its worker, so that the others get their vectors.

A worker that its deadline ends says which image it was at, which no further attempt waits for, and the others run on in halves:
one without such an image is done.
Where a worker crashes or is killed, alone or with its container, bisection finds the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from fruitpipe import objects
from fruitpipe.extractor import arrow_schema, featurise
from fruitpipe.ingest.worker import Overdue, Worker, WorkerDied, Workers
from fruitpipe.outcome import Outcome
from fruitpipe.table.data_files import Group

CRASHED = "decoding it, alone, took the worker process down"


@dataclass(frozen=True)
class Bisection:
    """Runs `worker` on the workers; an image that crashes its worker alone gets an outcome that says so.

    cancelled: called before they are asked; where it is true, CancelledError is raised.
    """

    workers: Workers
    worker: Worker
    cancelled: Callable[[], bool]

    def __call__(self, references: pa.Table, *, again: bool = True) -> Iterator[Group]:
        """The outcomes of all `references` (schema REFERENCES), their rows written into files.

        again: whether a single image gets a second try, as a worker may be killed for other reasons than its image.
        """
        if not len(references):
            return
        try:
            yield from self._run(references)
        except Overdue as overdue:
            yield from self.worker.writer.write(self._failed(overdue.path, "too-slow", self._too_slow()))
            yield from self._in_halves(references.filter(pc.field("path") != overdue.path))
        except WorkerDied:
            yield from self._bisect(references, again=again)

    def _run(self, references: pa.Table) -> list[Group]:
        """Runs one task a core. Raises WorkerDied, Overdue."""
        if self.cancelled():
            raise CancelledError
        return self.workers.run(self.worker, references)

    def _bisect(self, references: pa.Table, *, again: bool) -> Iterator[Group]:
        if len(references) > 1:
            yield from self._in_halves(references)
        elif again:
            yield from self(references, again=False)
        else:
            path = references["path"][0].as_py()
            yield from self.worker.writer.write(self._failed(path, "crashes-decoder", CRASHED))

    def _in_halves(self, references: pa.Table) -> Iterator[Group]:
        half = len(references) // 2
        yield from self(references.slice(0, half))
        yield from self(references.slice(half))

    def _too_slow(self) -> str:
        seconds = self.worker.featuriser.max_image_seconds
        return f"decoding it took longer than {seconds:g} s, which is all that it may take"

    def _failed(self, path: str, reason: str, message: str) -> pa.Table:
        """The outcome of an image that its worker did not survive."""
        found = objects.look(path, max_bytes=0)  # its etag, so that the image is tried again only when its bytes change
        seen = featurise.seen(found.stat) if isinstance(found, objects.TooLarge) else {}
        outcome = seen | {
            "path": path,
            "label": self.worker.featuriser.naming.label(path),
            "error": reason,
            "error_message": message,
            "extractor": self.worker.featuriser.fingerprint,
            "ingested_at": datetime.now(UTC),
            "outcome": Outcome.FAILED,
        }
        return pa.Table.from_pylist([outcome], arrow_schema.OUTCOMES)
