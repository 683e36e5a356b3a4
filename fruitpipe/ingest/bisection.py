"""Featurises references on Spark's workers, and finds the image that crashes its worker, so that the others get their vectors.

A worker that its deadline ends says which image it was at, which no further attempt waits for, and the others run on in halves:
one without such an image is done.
Where a worker crashes or is killed, alone or with its container, bisection finds the image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from fruitpipe import objects
from fruitpipe.extractor import arrow_schema, featurise
from fruitpipe.ingest.worker import Worker
from fruitpipe.outcome import Outcome
from fruitpipe.runtime import deadline, first_failure, session
from fruitpipe.table import data_files
from fruitpipe.table.data_files import Group

# As Spark words it when a Python worker is gone: killed, out of memory, or crashed in native code.
WORKER_DIED = "Python worker exited unexpectedly"
# A worker whose memory ran out may live on to say so; where Java's ran out, no image is at fault.
CRASHED = "decoding it, alone, took the worker process down"
# A container is killed for the memory that its workers take together, by YARN or by the kernel (137; 143 after a request to end).
# So Spark 4.0 to 4.2 word it on YARN and on clusters of their own, whose driver may know no more than that the executor is gone.
KILLED = (
    "Container killed by YARN for exceeding (?:physical|virtual) memory limits"
    r"|(?:Exit status:|Command exited with code) 1(?:37|43)\b"
    "|Remote RPC client disassociated. Likely due to containers exceeding thresholds"
)
CONTAINER_DIED = rf"ExecutorLostFailure \(executor \S+ exited caused by one of the running tasks\) Reason: .*(?:{KILLED})"
WORKER_GAVE_UP = re.compile(rf"{WORKER_DIED}|(?<!OutOf)MemoryError|{CONTAINER_DIED}")


class _WorkerDied(Exception):
    """A worker died, and it is not known which image it was at."""


class _Overdue(Exception):
    """The worker's deadline ended it at the image `path`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True)
class Bisection:
    """Runs `worker` on Spark's workers; an image that crashes its worker alone gets an outcome that says so.

    cancelled: called before each Spark job; where it is true, CancelledError is raised.
    """

    spark: SparkSession
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
        except _Overdue as overdue:
            yield from self.worker.writer.write(self._failed(overdue.path, "too-slow", self._too_slow()))
            yield from self._in_halves(references.filter(pc.field("path") != overdue.path))
        except _WorkerDied:
            yield from self._bisect(references, again=again)

    def _run(self, references: pa.Table) -> list[Group]:
        """Runs one Spark job. Raises _Overdue, _WorkerDied."""
        if self.cancelled():
            raise CancelledError
        paths = frozenset(references["path"].to_pylist())
        with first_failure.ends(self.spark.sparkContext, lambda text: deadline.overdue(text) in paths) as overdue:
            try:
                rows = self.spark.createDataFrame(references).mapInArrow(self.worker, data_files.GROUPS).collect()
            except session.SPARK_ERRORS as error:
                path = deadline.overdue(overdue[0] if overdue else str(error))
                if path is not None and path in paths:
                    raise _Overdue(path) from error
                if WORKER_GAVE_UP.search(str(error)):
                    raise _WorkerDied from error
                raise
        return [Group(*row) for row in rows]

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
