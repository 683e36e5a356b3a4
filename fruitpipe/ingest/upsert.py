"""Images that were named → rows of the table: one reference an image, featurised on the workers, committed in one step.

Whatever is run again finds its rows in the table and does nothing twice, so a batch needs no memory of its own.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

import pyarrow as pa
from pyspark.sql import SparkSession

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError, PlatformFault
from fruitpipe.extractor import featurise
from fruitpipe.output import say
from fruitpipe.pictures import names
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.runtime import session
from fruitpipe.runtime.progress import Bar, Commit
from fruitpipe.table import data_files, delta, lookup
from fruitpipe.table.data_files import Group
from fruitpipe.table.lookup import Known

# As Spark words it when a Python worker is gone: killed, out of memory, or crashed in native code.
WORKER_DIED = "Python worker exited unexpectedly"
IMAGES_PER_CORE = 1000  # that one commit takes: some seconds of work, whatever the cluster's size
TAPER = 3  # parts of the last such chunk; their files are still too large to be packed
# A worker whose memory ran out may live on to say so; where Java's ran out, no image is to blame.
WORKER_GAVE_UP = re.compile(rf"{WORKER_DIED}|(?<!OutOf)MemoryError")
AHEAD = 2  # chunks in the workers' hands: where a core is through with its part of one, it begins the next
ALIKE = 5  # so many images of one chunk, and not one that fares better: the platform is at fault, and not they ...
CONTROLS = 3  # ... and of fewer, where none of so many images that were good before fares better now


@dataclass(frozen=True)
class Featurised:
    """A chunk that is ready to be committed: what became of its images, in files, and what the table knew of them.

    known: the rows that it has of some. seconds: that it took.
    """

    paths: list[str]
    groups: list[Group]
    known: list[Known]
    seconds: float

    @property
    def files(self) -> list[str]:
        """The `add` actions of the files that hold its rows."""
        return sorted({group.file for group in self.groups if group.file})

    def count(self, column: str) -> Counter[str]:
        """How many images there are of each outcome, or of each error."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            counts[getattr(group, column)] += group.images
        return counts


@dataclass(frozen=True)
class Upsert:
    """What a batch needs beside the images: the session, where the table lies, what runs on the workers.

    `before_commit` raises where this process may no longer write the table; `known` tells what the table has of images; on `bar`
    a person watches. `failed` is set when one of the chunks in hand has failed, and the others are for nothing.
    """

    spark: SparkSession
    root: str
    featuriser: featurise.Featuriser
    before_commit: Callable[[], None]
    known: Callable[[Sequence[str]], dict[str, Known]]
    bar: Bar = field(default_factory=Bar)
    failed: threading.Event = field(default_factory=threading.Event)

    def __call__(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Commit]:
        """Featurises what is new or changed among `named`, one event an image; says of each commit what it did.

        The next chunks of images are featurised while one is committed, or found to need no commit. Where it is `stopping`,
        chunks that were begun are finished. Raises PlatformFault where all of a chunk fail alike, and does not commit that chunk.
        """
        known = self.known([event.path for event in named])
        size = IMAGES_PER_CORE * self.spark.sparkContext.defaultParallelism
        chunks = iter(_chunks(named, size) if known else _tapered(named, size))  # a merge takes seconds, an append 0.2
        begun: set[Future[Featurised]] = set()
        with ThreadPoolExecutor(AHEAD, "fruitpipe-featurise") as ahead:

            def begin() -> None:
                chunk = None if stopping() else next(chunks, None)
                if chunk:
                    paths, references = [event.path for event in chunk], reference_table(chunk, known, self.featuriser)
                    begun.add(ahead.submit(self._watched(len(chunk))._featurised, paths, references, known))  # noqa: SLF001

            try:
                for _ in range(AHEAD):
                    begin()
                while begun:
                    ready = next(iter(wait(begun, return_when=FIRST_COMPLETED).done))
                    begun.remove(ready)
                    featurised = ready.result()
                    begin()
                    yield self._commit(featurised)
            except BaseException:
                self.failed.set()  # or the other chunk's halving, which may take long, would be waited for
                raise

    def start_workers(self) -> None:
        """Has each core's worker start, import and load the model while the driver goes on."""
        threading.Thread(target=self._start_workers, name="fruitpipe-start", daemon=True).start()

    def _start_workers(self) -> None:
        cores = self.spark.sparkContext.defaultParallelism
        load = data_files.Writer(self.featuriser, delta.folder(self.root), to_merge=False).load
        # What is wrong there is wrong in the first batch too, which says so. The last is what a context says that is stopped.
        with suppress(*session.SPARK_ERRORS, OSError, AttributeError):
            self.spark.sparkContext.parallelize(range(cores), cores).foreachPartition(load)

    def _featurised(self, paths: list[str], references: pa.Table, known: dict[str, Known]) -> Featurised:
        began = time.monotonic()
        rows = [known[path] for path in paths if path in known]
        groups = list(self._written(references, to_merge=bool(rows)))
        return Featurised(paths, groups, rows, time.monotonic() - began)

    def _watched(self, images: int) -> Upsert:
        """Has workers on this machine tell the bar, where there is one, of each image of a chunk."""
        here = str(self.spark.sparkContext.master).startswith("local")
        tally = self.bar.begin(images) if here else None
        return replace(self, featuriser=replace(self.featuriser, tally=tally)) if tally else self

    def _commit(self, featurised: Featurised) -> Commit:
        began = time.monotonic()
        self._check_not_alike(featurised)
        self.before_commit()
        if featurised.known:
            self._merge(featurised)
        elif featurised.files:  # nothing to match: the files become the table's as they are
            delta.add(self.spark, self.root, featurised.files)
        seconds = {"featurise": featurised.seconds, "commit": time.monotonic() - began}
        reasons = Counter({reason: count for reason, count in featurised.count("error").items() if reason is not None})
        lag = max((group.lag for group in featurised.groups if group.lag is not None), default=None)
        return Commit(featurised.count("outcome"), reasons, lag, seconds)

    def _merge(self, featurised: Featurised) -> None:
        """Removes the files when their rows are in others; those of a merge that failed go as the table's old files do."""
        uris = [data_files.uri(delta.folder(self.root), file) for file in featurised.files]
        if uris:
            ingested = [row.ingested_at for row in featurised.known]
            delta.merge(self.spark, self.root, delta.outcomes(self.spark, uris), ingested)
        for uri in uris:
            _remove(uri)

    def _check_not_alike(self, featurised: Featurised) -> None:
        """A permission that was taken away, or a worker that crashes on anything, is not the images' fault.

        What was unreadable before and still is says nothing new. A few images alone say little: good ones of the table, or else
        their neighbours, are looked at with them; where there are none, a crash is the image's and a refusal the store's.
        """
        reasons = featurised.count("error")
        unreadable_before = sum(row.error == "unreadable" for row in featurised.known)
        for reason, before in (("unreadable", unreadable_before), ("crashes-decoder", 0)):
            images = reasons[reason]
            if (
                images == reasons.total()
                and images > before
                and (images - before >= ALIKE or self._controls_fail(featurised.paths, reason))
            ):
                message = next(group.message for group in featurised.groups if group.error == reason)
                raise PlatformFault(
                    f"all {images} images of this batch are {reason} ({message}); nothing was written. Mend that first"
                )

    def _controls_fail(self, paths: Sequence[str], reason: str) -> bool:
        controls = lookup.good_paths(self.root, CONTROLS, paths) or _neighbours(paths)
        if not controls:
            return reason == "unreadable"
        references = pa.Table.from_pylist([{"path": path} for path in controls], featurise.REFERENCES)
        looked_at = list(self._written(references, to_merge=False))
        for file in {group.file for group in looked_at if group.file}:
            _remove(data_files.uri(delta.folder(self.root), file))
        return not any(group.outcome == "featurised" for group in looked_at)

    def _written(self, references: pa.Table, *, to_merge: bool, again: bool = True) -> Iterator[Group]:
        """What became of all references, their rows written into files.

        An image that takes its worker down is found by halving: its neighbours are computed again without it.
        Raises CancelledError where the batch has failed meanwhile.
        """
        if self.failed.is_set():
            raise CancelledError
        writer = data_files.Writer(self.featuriser, delta.folder(self.root), to_merge)
        try:
            rows = self.spark.createDataFrame(references).mapInArrow(writer, data_files.GROUPS).collect()
        except session.SPARK_ERRORS as error:
            if not WORKER_GAVE_UP.search(str(error)):
                raise
            yield from self._without_the_deadly(references, writer, again=again)
        else:
            yield from (Group(*row) for row in rows)

    def _without_the_deadly(self, references: pa.Table, writer: data_files.Writer, *, again: bool) -> Iterator[Group]:
        """A lone image gets a second try: a worker may also be killed for what is none of its images' doing."""
        half = len(references) // 2
        if half:
            yield from self._written(references.slice(0, half), to_merge=writer.to_merge)
            yield from self._written(references.slice(half), to_merge=writer.to_merge)
        elif again:
            yield from self._written(references, to_merge=writer.to_merge, again=False)
        else:
            yield from writer.write(self._crashed(references["path"][0].as_py()))

    def _crashed(self, path: str) -> pa.Table:
        """The outcome of an image that takes its worker down."""
        found = objects.look(path, max_bytes=0)  # its etag, so that only other bytes are tried again
        seen = featurise.seen(found.stat) if isinstance(found, objects.TooLarge) else {}
        outcome = seen | {
            "path": path,
            "label": names.label(path),
            "error": "crashes-decoder",
            "error_message": "decoding it, alone, took the worker process down",
            "extractor": self.featuriser.extractor,
            "ingested_at": datetime.now(UTC),
            "outcome": "failed",
        }
        return pa.Table.from_pylist([outcome], featurise.OUTCOMES)


def _chunks(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Even parts of about `size`: a batch that is a little larger is one."""
    even = math.ceil(len(named) / max(1, round(len(named) / size))) if named else size
    return [named[first : first + even] for first in range(0, len(named), even)]


def _tapered(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Parts of `size`, and towards the end of a third of that, where there are two or more.

    Cores differ in speed, and one that has nothing left to do would wait for another's part.
    """
    whole = max(0, len(named) // size - 1) * size
    return [*_chunks(named[:whole], size), *_chunks(named[whole:], size // TAPER if whole else size)]


def reference_table(named: Sequence[ImageEvent], known: dict[str, Known], featuriser: featurise.Featuriser) -> pa.Table:
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


def _remove(uri: str) -> None:
    """Removes a data file that no commit names; one that cannot be removed is no row of anybody's, and only takes room."""
    try:
        objects.delete(uri)
    except FruitpipeError as error:
        say(f"{uri} stays until the table's old files go, as it cannot be removed now ({error})")


def _neighbours(paths: Sequence[str]) -> list[str]:
    """Other objects in the folder of the first."""
    beside = (stat.path for stat in objects.list_all(paths[0].rpartition("/")[0]))
    return list(islice((path for path in beside if path not in paths), CONTROLS))
