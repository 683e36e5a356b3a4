"""References → outcomes on Spark's workers, where an image that takes its worker down is found by halving."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import SparkSession

from fruitpipe import objects
from fruitpipe.extractor import featurise
from fruitpipe.runtime import session
from fruitpipe.table import data_files
from fruitpipe.table.data_files import Group

# As Spark words it when a Python worker is gone: killed, out of memory, or crashed in native code.
WORKER_DIED = "Python worker exited unexpectedly"
# A worker whose memory ran out may live on to say so; where Java's ran out, no image is to blame.
WORKER_GAVE_UP = re.compile(rf"{WORKER_DIED}|(?<!OutOf)MemoryError")


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
        if self.cancelled():
            raise CancelledError
        try:
            rows = self.spark.createDataFrame(references).mapInArrow(self.writer, data_files.GROUPS).collect()
        except session.SPARK_ERRORS as error:
            if not WORKER_GAVE_UP.search(str(error)):
                raise
            yield from self._without_the_deadly(references, again=again)
        else:
            yield from (Group(*row) for row in rows)

    def _without_the_deadly(self, references: pa.Table, *, again: bool) -> Iterator[Group]:
        half = len(references) // 2
        if half:
            yield from self(references.slice(0, half))
            yield from self(references.slice(half))
        elif again:
            yield from self(references, again=False)
        else:
            yield from self.writer.write(self._crashed(references["path"][0].as_py()))

    def _crashed(self, path: str) -> pa.Table:
        """The outcome of an image that takes its worker down."""
        found = objects.look(path, max_bytes=0)  # its etag, so that only other bytes are tried again
        seen = featurise.seen(found.stat) if isinstance(found, objects.TooLarge) else {}
        outcome = seen | {
            "path": path,
            "label": self.writer.featuriser.naming.label(path),
            "error": "crashes-decoder",
            "error_message": "decoding it, alone, took the worker process down",
            "extractor": self.writer.featuriser.extractor,
            "ingested_at": datetime.now(UTC),
            "outcome": "failed",
        }
        return pa.Table.from_pylist([outcome], featurise.OUTCOMES)
