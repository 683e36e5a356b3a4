"""Images that were named → rows of the table: one reference an image, featurised on the workers, committed in one step.

Whatever is run again finds its rows in the table and does nothing twice, so a batch needs no memory of its own.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce
from itertools import islice

import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from fruitpipe import featurise, names, objects, session, tables
from fruitpipe.errors import PlatformFault
from fruitpipe.events import ImageEvent
from fruitpipe.progress import Bar, Commit

# As Spark words it when a Python worker is gone: killed, out of memory, or crashed in native code.
WORKER_DIED = "Python worker exited unexpectedly"
IMAGES_PER_CORE = 1000  # that one commit takes: some seconds of work, whatever the cluster's size
# A worker whose memory ran out may live on to say so; where Java's ran out, no image is to blame.
WORKER_GAVE_UP = re.compile(rf"{WORKER_DIED}|(?<!OutOf)MemoryError")
# From an image's upload to its row, in seconds; what was not read has none.
LAG = "CAST(ingested_at AS double) - CAST(modification_time AS double)"
ALIKE = 5  # so many images of one chunk, and not one that fares better: the platform is at fault, and not they ...
CONTROLS = 3  # ... and of fewer, where none of so many images that were good before fares better now


@dataclass(frozen=True)
class Part:
    """Outcomes that are computed and kept; of each `outcome` and `error` how many there are, and the longest lag in seconds."""

    outcomes: DataFrame
    counts: list[Row]


@dataclass(frozen=True)
class Featurised:
    """A chunk that is ready to be committed, whether the table has rows of its images, and how many are unreadable there.

    seconds: that it took.
    """

    parts: list[Part]
    merge: bool
    unreadable_before: int
    seconds: float


@dataclass(frozen=True)
class Upsert:
    """What a batch needs beside the images: the session, where the table lies, what runs on the workers.

    `before_commit` raises where this process may no longer write; `known` tells what the table has of images; on `bar` a person
    watches.
    """

    spark: SparkSession
    root: str
    featuriser: featurise.Featuriser
    before_commit: Callable[[], None]
    known: Callable[[Sequence[str]], dict[str, tables.Known]]
    bar: Bar = field(default_factory=Bar)

    def __call__(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Commit]:
        """Featurises what is new or changed among `named`, one event an image; says of each commit what it did.

        The next chunk of images is featurised while one is committed, or found to need no commit. Where it is `stopping`, chunks
        that were begun are finished. Raises PlatformFault where all of a chunk fail alike, and does not commit that chunk.
        """
        known = self.known([event.path for event in named])
        chunks = iter(_chunks(named, IMAGES_PER_CORE * self.spark.sparkContext.defaultParallelism))
        with ThreadPoolExecutor(1, "fruitpipe-featurise") as ahead:

            def begin() -> Future[Featurised] | None:
                chunk = None if stopping() else next(chunks, None)
                return ahead.submit(self._featurised, chunk, known) if chunk else None

            begun = begin()
            while begun:
                featurised, begun = begun.result(), begin()
                yield self._commit(featurised)

    def _featurised(self, chunk: Sequence[ImageEvent], known: dict[str, tables.Known]) -> Featurised:
        began = time.monotonic()
        references = reference_table(chunk, known, self.featuriser)
        rows = [known[event.path] for event in chunk if event.path in known]
        unreadable = sum(row.error == "unreadable" for row in rows)
        parts = list(self._watched(len(chunk))._outcomes(references))  # noqa: SLF001 - our own
        return Featurised(parts, bool(rows), unreadable, time.monotonic() - began)

    def _watched(self, images: int) -> Upsert:
        """Has workers on this machine tell the bar, where there is one, of each image of a chunk."""
        here = str(self.spark.sparkContext.master).startswith("local")
        tally = self.bar.begin(images) if here else None
        return replace(self, featuriser=replace(self.featuriser, tally=tally)) if tally else self

    def _commit(self, featurised: Featurised) -> Commit:
        parts, began = featurised.parts, time.monotonic()
        try:
            self._check_not_alike(featurised)
            counts = _counted(parts, "outcome")
            self.before_commit()
            self._write(reduce(DataFrame.unionByName, (part.outcomes for part in parts)), counts, merge=featurised.merge)
            seconds = {"featurise": featurised.seconds, "commit": time.monotonic() - began}
            return Commit(counts, _reasons(parts), _longest_lag(parts), seconds)
        finally:
            for part in parts:
                part.outcomes.unpersist()

    def _write(self, outcomes: DataFrame, counts: Counter[str], *, merge: bool) -> None:
        if merge and set(counts) - {"unchanged"}:
            tables.merge(self.spark, self.root, outcomes.where("outcome != 'unchanged'"))
        elif counts["featurised"] + counts["failed"]:  # nothing to match: an append spares the join
            tables.append(self.root, outcomes.where("outcome IN ('featurised', 'failed')"))

    def _check_not_alike(self, featurised: Featurised) -> None:
        """A permission that was taken away, or a worker that crashes on anything, is not the images' fault.

        What was unreadable before and still is says nothing new. A few images alone say little: good ones of the table, or else
        their neighbours, are looked at with them; where there are none, a crash is the image's and a refusal the store's.
        """
        reasons = _counted(featurised.parts, "error")
        for reason, before in (("unreadable", featurised.unreadable_before), ("crashes-decoder", 0)):
            images = reasons[reason]
            if (
                images == reasons.total()
                and images > before
                and (images - before >= ALIKE or self._controls_fail(featurised, reason))
            ):
                message = featurised.parts[0].outcomes.select("error_message").first()["error_message"]  # type: ignore[index]
                raise PlatformFault(
                    f"all {images} images of this batch are {reason} ({message}); nothing was written. Mend that first"
                )

    def _controls_fail(self, featurised: Featurised, reason: str) -> bool:
        paths = [row["path"] for part in featurised.parts for row in part.outcomes.select("path").collect()]
        controls = tables.good_paths(self.spark, self.root, CONTROLS, paths) or _neighbours(paths)
        if not controls:
            return reason == "unreadable"
        parts = list(self._outcomes(pa.Table.from_pylist([{"path": path} for path in controls], featurise.REFERENCES)))
        for part in parts:
            part.outcomes.unpersist()
        return not _counted(parts, "outcome")["featurised"]

    def _outcomes(self, references: pa.Table, *, again: bool = True) -> Iterator[Part]:
        """The outcomes of all references, computed once and kept, in one part or, where workers die, in several.

        An image that takes its worker down is found by halving: its neighbours are computed again without it.
        """
        outcomes = self.spark.createDataFrame(references).mapInArrow(self.featuriser, tables.OUTCOMES).persist()
        try:
            alike = outcomes.groupBy("outcome", "error")
            counts = alike.agg(F.count("*").alias("count"), F.max(F.expr(LAG)).alias("lag")).collect()
        except session.SPARK_ERRORS as error:
            outcomes.unpersist()
            if not WORKER_GAVE_UP.search(str(error)):
                raise
            yield from self._without_the_deadly(references, again=again)
        else:
            yield Part(outcomes, counts)

    def _without_the_deadly(self, references: pa.Table, *, again: bool) -> Iterator[Part]:
        """A lone image gets a second try: a worker may also be killed for what is none of its images' doing."""
        half = len(references) // 2
        if half:
            yield from self._outcomes(references.slice(0, half))
            yield from self._outcomes(references.slice(half))
        elif again:
            yield from self._outcomes(references, again=False)
        else:
            yield self._crashed(references["path"][0].as_py())

    def _crashed(self, path: str) -> Part:
        found = objects.look(path, max_bytes=0)  # its etag, so that only other bytes are tried again
        seen = featurise.seen(found.stat) if isinstance(found, objects.TooLarge) else {}
        row = (
            dict.fromkeys(tables.OUTCOMES.fieldNames())
            | seen
            | {
                "path": path,
                "label": names.label(path),
                "error": "crashes-decoder",
                "error_message": "decoding it, alone, took the worker process down",
                "extractor": self.featuriser.extractor,
                "ingested_at": datetime.now(UTC),
                "outcome": "failed",
            }
        )
        outcomes = self.spark.createDataFrame([tuple(row.values())], tables.OUTCOMES)
        return Part(outcomes, [Row(outcome="failed", error="crashes-decoder", count=1, lag=None)])


def _chunks(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Even parts of about `size`: a batch that is a little larger is one."""
    even = math.ceil(len(named) / max(1, round(len(named) / size))) if named else size
    return [named[first : first + even] for first in range(0, len(named), even)]


def reference_table(named: Sequence[ImageEvent], known: dict[str, tables.Known], featuriser: featurise.Featuriser) -> pa.Table:
    """`named` with the schema REFERENCES. What another extractor or limit made of an image does not count as known."""
    current = {
        path: row
        for path, row in known.items()
        if row.extractor == featuriser.extractor and not row.worth_another_look(featuriser.max_image_bytes)
    }
    rows = [(event.path, event.length, current.get(event.path)) for event in named]
    columns = [
        {"path": path, "length": length, "known_etag": row and row.etag, "known_sha256": row and row.sha256}
        for path, length, row in rows
    ]
    return pa.Table.from_pylist(columns, featurise.REFERENCES)


def _counted(parts: list[Part], column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in (row for part in parts for row in part.counts):
        counts[row[column]] += row["count"]
    return counts


def _reasons(parts: list[Part]) -> Counter[str]:
    return Counter({reason: count for reason, count in _counted(parts, "error").items() if reason is not None})


def _longest_lag(parts: list[Part]) -> float | None:
    return max((row["lag"] for part in parts for row in part.counts if row["lag"] is not None), default=None)


def _neighbours(paths: Sequence[str]) -> list[str]:
    """Other objects in the folder of the first."""
    beside = (stat.path for stat in objects.list_all(paths[0].rpartition("/")[0]))
    return list(islice((path for path in beside if path not in paths), CONTROLS))
