"""Images that were named → rows of the table: one reference an image, featurised on the workers, committed in one step.

Whatever is run again finds its rows in the table and does nothing twice, so a batch needs no memory of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError
from fruitpipe.extractor import arrow_schema, featurise
from fruitpipe.ingest import moves, overlap
from fruitpipe.ingest.alike import Judge
from fruitpipe.ingest.chunks import IMAGES_PER_CORE, Chunk, FeaturisedChunk, divided, reference_table, tapered
from fruitpipe.ingest.halving import Halving
from fruitpipe.output import say
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.runtime import session
from fruitpipe.runtime.progress import Bar, Commit
from fruitpipe.table import commits, data_files, delta
from fruitpipe.table.data_files import Group
from fruitpipe.table.fence import Fence
from fruitpipe.table.lookup import Known


@dataclass(frozen=True)
class Upsert:
    """What a batch needs beside the images: the session, where the table lies, what runs on the workers.

    `fence` raises where this process may no longer write the table; `look_up` tells what the table has of images;
    `found_gone` is told of images that are not there, and which of them nobody had said are gone, and raises where that is not to
    be believed; on `bar` a person watches. It keeps nothing from one batch to the next: after one that failed it takes another.
    """

    spark: SparkSession
    root: str
    featuriser: featurise.Featuriser
    fence: Fence
    look_up: Callable[[Sequence[str]], dict[str, Known]]
    found_gone: Callable[[Sequence[str], Sequence[str]], None]
    bar: Bar = field(default_factory=Bar)

    def __call__(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Commit]:
        """Featurises what is new or changed among `named`, one event an image; says of each commit what it did.

        The next chunks of images are featurised while one is committed, or found to need no commit. Where it is `stopping`,
        chunks that were begun are finished. Raises PlatformFault where all of a chunk fail alike, and does not commit that chunk.
        """
        judge = Judge(self.root, [event.path for event in named], self._looked_at)
        with closing(overlap.results(self._featurised, self._chunks(named, stopping))) as ready:
            for featurised in ready:
                judge.check(featurised)
                yield self._commit(featurised)

    def start_workers(self) -> None:
        """Has each core's worker start, import and load the model while the driver goes on."""
        threading.Thread(target=self._start_workers, name="fruitpipe-start", daemon=True).start()

    def _start_workers(self) -> None:
        cores = self.spark.sparkContext.defaultParallelism
        load = data_files.Writer(self.featuriser, delta.folder(self.root), to_merge=False).load
        # What is wrong there is wrong in the first batch too, which says so. The last is what a context says that is stopped.
        with suppress(*session.SPARK_ERRORS, OSError, AttributeError):
            self.spark.sparkContext.parallelize(range(cores), cores).foreachPartition(load)

    def _chunks(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Chunk]:
        """The batch in chunks, each of which begins on the bar when it is taken."""
        known = self._known([event.path for event in named])
        named = moves.together(named, known)
        size = IMAGES_PER_CORE * self.spark.sparkContext.defaultParallelism
        for part in divided(named, size) if known else tapered(named, size):  # a merge takes seconds, an append 0.2
            if stopping():
                return
            rows = [known[event.path] for event in part if event.path in known]
            copyable = moves.features_to_copy(part, known, self.featuriser.extractor)
            said_gone = frozenset(event.path for event in part if event.event == "removed")
            yield Chunk(reference_table(part, known, self.featuriser), rows, self._tally(len(part)), copyable, said_gone)

    def _known(self, paths: Sequence[str]) -> dict[str, Known]:
        """What the table knows of images. Of those that have more than one row all rows go first, and they count as new."""
        known = self.look_up(paths)
        twice = sorted(path for path, row in known.items() if row.rows > 1)
        if twice:
            self.fence()
            commits.remove(self.spark, self.root, twice, self.fence)
            say(f"{len(twice)} images had more than one row ({twice[0]}, ...): those are removed, and they are looked at anew")
        return {path: row for path, row in known.items() if row.rows == 1}

    def _tally(self, images: int) -> str | None:
        """Where workers on this machine tell the bar, if there is one, of each image of a chunk."""
        here = str(self.spark.sparkContext.master).startswith("local")
        return self.bar.begin(images) if here else None

    def _featurised(self, chunk: Chunk, cancelled: threading.Event) -> FeaturisedChunk:
        began = time.monotonic()
        writer = self._writer(to_merge=bool(chunk.known), tally=chunk.tally, copyable=chunk.copyable)
        groups = list(Halving(self.spark, writer, cancelled.is_set)(chunk.references))
        return FeaturisedChunk(chunk, groups, time.monotonic() - began)

    def _writer(self, *, to_merge: bool, **of_chunk: Any) -> data_files.Writer:
        return data_files.Writer(replace(self.featuriser, **of_chunk), delta.folder(self.root), to_merge)

    def _commit(self, featurised: FeaturisedChunk) -> Commit:
        began = time.monotonic()
        self.found_gone(featurised.gone, featurised.unexpectedly_gone)
        self.fence()
        if featurised.chunk.known:
            self._merge(featurised)
        elif featurised.files:  # nothing to match: the files become the table's as they are
            commits.add(self.spark, self.root, featurised.files, self.fence, featurised.count("outcome"))
        seconds = {"featurise": featurised.seconds, "commit": time.monotonic() - began}
        lag = max((group.lag for group in featurised.groups if group.lag is not None), default=None)
        return Commit(featurised.count("outcome"), featurised.reasons, lag, seconds)

    def _merge(self, featurised: FeaturisedChunk) -> None:
        """Removes the files when their rows are in others; those of a merge that failed go as the table's old files do."""
        uris = [data_files.uri(delta.folder(self.root), file) for file in featurised.files]
        if uris:
            ingested = [row.ingested_at for row in featurised.chunk.known]
            outcomes = commits.outcomes(self.spark, uris)
            if featurised.count("outcome")["moved"]:
                outcomes = commits.with_features_of_moved(self.spark, self.root, outcomes, ingested)
            with commits.fenced(self.spark, self.fence):
                commits.merge(self.spark, self.root, outcomes, ingested, featurised.count("outcome"))
        for uri in uris:
            _remove(uri)

    def _looked_at(self, paths: Sequence[str]) -> list[Group]:
        """What becomes of images now; their rows are not kept."""
        references = pa.Table.from_pylist([{"path": path} for path in paths], arrow_schema.REFERENCES)
        groups = list(Halving(self.spark, self._writer(to_merge=False), lambda: False)(references))
        for file in {group.file for group in groups if group.file}:
            _remove(data_files.uri(delta.folder(self.root), file))
        return groups


def _remove(uri: str) -> None:
    """Removes a data file that no commit names; one that cannot be removed is no row of anybody's, and only takes room."""
    try:
        objects.delete(uri)
    except FruitpipeError as error:
        say(f"{uri} stays until the table's old files go, as it cannot be removed now ({error})")
