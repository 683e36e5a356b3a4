"""References → outcomes on Spark's workers, where an image that takes its worker down is found, and costs no other its vector.

A worker that its deadline ends tells which image it had in hand; of one that crashes or is killed it is found by halving.
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
from fruitpipe.runtime import deadline, session
from fruitpipe.table import data_files
from fruitpipe.table.data_files import Group

# As Spark words it when a Python worker is gone: killed, out of memory, or crashed in native code.
WORKER_DIED = "Python worker exited unexpectedly"
# A worker whose memory ran out may live on to say so; where Java's ran out, no image is to blame.
CRASHED = "decoding it, alone, took the worker process down"
WORKER_GAVE_UP = re.compile(rf"{WORKER_DIED}|(?<!OutOf)MemoryError")


class _WorkerDied(Exception):
    """A worker died, and which image it had in hand is not known."""


class _Overdue(Exception):
    """The worker's deadline ended it, with the image at `path` in hand."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True)
class Halving:
    """Runs `writer` on the workers; each image that takes its worker down alone gets an outcome that says so.

    cancelled: asked before each part; where it says so, CancelledError is raised.
    """

    spark: SparkSession
    writer: data_files.Writer
    cancelled: Callable[[], bool]

    def __call__(self, references: pa.Table, *, again: bool = True) -> Iterator[Group]:
        """What became of all `references` (schema REFERENCES), their rows written into files.

        again: a lone image gets a second try, as a worker may also be killed for what is none of its images' doing.
        """
        while len(references):
            try:
                yield from self._run(references)
            except _Overdue as overdue:
                yield from self.writer.write(self._failed(overdue.path, "too-slow", self._too_slow()))
                references = references.filter(pc.field("path") != overdue.path)
            except _WorkerDied:
                yield from self._without_the_deadly(references, again=again)
                return
            else:
                return

    def _run(self, references: pa.Table) -> list[Group]:
        """One Spark job. Raises _Overdue, which is repeated without that image, or _WorkerDied."""
        if self.cancelled():
            raise CancelledError
        try:
            rows = self.spark.createDataFrame(references).mapInArrow(self.writer, data_files.GROUPS).collect()
        except session.SPARK_ERRORS as error:
            path = deadline.overdue(str(error))
            if path is not None and path in references["path"].to_pylist():
                raise _Overdue(path) from error
            if WORKER_GAVE_UP.search(str(error)):
                raise _WorkerDied from error
            raise
        return [Group(*row) for row in rows]

    def _without_the_deadly(self, references: pa.Table, *, again: bool) -> Iterator[Group]:
        half = len(references) // 2
        if half:
            yield from self(references.slice(0, half))
            yield from self(references.slice(half))
        elif again:
            yield from self(references, again=False)
        else:
            path = references["path"][0].as_py()
            yield from self.writer.write(self._failed(path, "crashes-decoder", CRASHED))

    def _too_slow(self) -> str:
        seconds = self.writer.featuriser.max_image_seconds
        return f"decoding it took longer than {seconds:g} s, which is all that it may take"

    def _failed(self, path: str, reason: str, message: str) -> pa.Table:
        """The outcome of an image that its worker did not survive."""
        found = objects.look(path, max_bytes=0)  # its etag, so that only other bytes are tried again
        seen = featurise.seen(found.stat) if isinstance(found, objects.TooLarge) else {}
        outcome = seen | {
            "path": path,
            "label": self.writer.featuriser.naming.label(path),
            "error": reason,
            "error_message": message,
            "extractor": self.writer.featuriser.extractor,
            "ingested_at": datetime.now(UTC),
            "outcome": "failed",
        }
        return pa.Table.from_pylist([outcome], arrow_schema.OUTCOMES)
