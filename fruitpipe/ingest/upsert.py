"""Makes rows of the table from named images: sends references to the workers and commits what they wrote, chunk by chunk.

A batch that runs again finds its rows in the table and does nothing twice, so it needs no state of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError, LeaseLost, PlatformFault
from fruitpipe.extractor import arrow_schema, featurise
from fruitpipe.ingest import moves, overlap
from fruitpipe.ingest.bisection import Bisection
from fruitpipe.ingest.chunks import IMAGES_PER_CORE, Chunk, FeaturisedChunk, divided, reference_table, tapered
from fruitpipe.ingest.platform_fault import Judge
from fruitpipe.ingest.worker import Worker, Workers
from fruitpipe.output import say
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.runtime.progress import Bar, Commit
from fruitpipe.table import data_files, delta
from fruitpipe.table.data_files import Group
from fruitpipe.table.fence import Fence
from fruitpipe.table.lookup import Known
from fruitpipe.table.snapshot import Snapshot


class Commits(Protocol):
    """Commits that change rows of the table. Each raises LeaseLost, and changes nothing, where somebody else has changed rows."""

    @property
    def takes_files(self) -> bool:
        """Whether `add` can be called: else new rows are merged, too."""

    def add(self, files: Collection[str], counts: Mapping[str, int]) -> None:
        """Adds rows of images that the table does not have, by the `add` actions of their files. counts: images by outcome."""

    def merge(self, uris: Sequence[str], ingested: Collection[datetime], counts: Mapping[str, int]) -> None:
        """Merges the outcomes in Parquet files. ingested: `ingested_at` of all rows that the table has of their images."""

    def remove(self, paths: Sequence[str]) -> None:
        """Deletes the rows of images."""

    def remove_others(self, kept: Mapping[str, datetime]) -> None:
        """Deletes the rows of images that were ingested at another time than the one told for each, by path."""


@dataclass(frozen=True)
class Upsert:
    """Upserts the images of a batch. It keeps no state from one batch to the next, so a batch may follow one that failed.

    workers: who featurise. commits: who writes the table. fence: raises where this process may no longer write it. look_up: the
    table's rows of images, by path. found_gone: is called with the paths of gone images and of those that no event named as
    removed; raises where the folder is not mounted.
    """

    workers: Workers
    commits: Commits
    root: str
    featuriser: featurise.Featuriser
    fence: Fence
    look_up: Callable[[Sequence[str]], dict[str, Known]]
    found_gone: Callable[[Sequence[str], Sequence[str]], None]
    bar: Bar = field(default_factory=Bar)

    def __call__(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Commit]:
        """Featurises new and changed images among `named`, one event an image; yields each commit.

        The next chunks are featurised while one is committed. When `stopping`, no other chunk begins, and those that were begun
        are finished. Raises PlatformFault where all images of a chunk fail alike and the platform is at fault; that chunk is not
        committed.
        """
        judge = Judge(self.root, [event.path for event in named], self._looked_at)
        chunks = self._chunks(named, stopping)
        with closing(overlap.results(self._featurised, chunks, drop=self._drop)) as ready:
            for featurised in ready:
                try:
                    judge.check(featurised)
                    self.found_gone(featurised.gone, featurised.unexpectedly_gone)
                except PlatformFault:
                    self._drop(featurised)
                    raise
                yield self._committed(featurised)

    def start_workers(self) -> None:
        """Starts a worker on each core, which loads the model while the driver goes on."""
        worker = self._worker(to_merge=False)
        threading.Thread(target=self.workers.load, args=(worker,), name="fruitpipe-start", daemon=True).start()

    def _chunks(self, named: Sequence[ImageEvent], stopping: Callable[[], bool]) -> Iterator[Chunk]:
        """The chunks of the batch; each begins on the progress bar when it is taken."""
        known = self._known([event.path for event in named])
        named = moves.together(named, known)
        size = IMAGES_PER_CORE * self.workers.cores
        for part in divided(named, size) if known else tapered(named, size):  # a merge takes seconds, an append 0.2
            if stopping():
                return
            rows = [known[event.path] for event in part if event.path in known]
            copyable = moves.features_to_copy(part, known, self.featuriser.current)
            said_gone = frozenset(event.path for event in part if event.event == "removed")
            yield Chunk(reference_table(part, known, self.featuriser), rows, self._count_file(len(part)), copyable, said_gone)

    def _known(self, paths: Sequence[str]) -> dict[str, Known]:
        """The table's rows of images, by path. Where an image has more than one, all but the best are deleted first."""
        known = self.look_up(paths)
        twice = {path: row for path, row in known.items() if row.rows > 1}
        if not twice:
            return known
        left = self._keep_best(twice)
        say(f"{len(twice)} images had more than one row ({min(twice)}, ...): one at most stays, and they are looked at again")
        return {path: row for path, row in known.items() if path not in twice} | left

    def _keep_best(self, twice: Mapping[str, Known]) -> dict[str, Known]:
        """Deletes rows but that of the time told for each image; all where several are of that time, as nothing tells them apart.

        Returns the rows that are left. The store may not give the image any more, and then its features are nowhere else.
        """
        self.fence()
        self.commits.remove_others({path: row.ingested_at for path, row in twice.items()})
        left = self.look_up(list(twice))
        self.fence()
        self.commits.remove(sorted(path for path, row in left.items() if row.rows > 1))
        return {path: row for path, row in left.items() if row.rows == 1}

    def _count_file(self, images: int) -> str | None:
        """The file in which workers on this machine count the images of a chunk for the progress bar; None without one."""
        return self.bar.begin(images) if self.workers.are_here else None

    def _featurised(self, chunk: Chunk, cancelled: threading.Event) -> FeaturisedChunk:
        began = time.monotonic()
        worker = self._worker(to_merge=self._is_merged(chunk), count_file=chunk.count_file, copyable=chunk.copyable)
        groups = list(Bisection(self.workers, worker, cancelled.is_set)(chunk.references))
        return FeaturisedChunk(chunk, groups, time.monotonic() - began)

    def _is_merged(self, chunk: Chunk) -> bool:
        """Whether a chunk's files are read by a merge; else they become the table's."""
        return bool(chunk.known) or not self.commits.takes_files

    def _worker(self, *, to_merge: bool, **of_chunk: Any) -> Worker:
        return Worker(replace(self.featuriser, **of_chunk), data_files.Writer(delta.folder(self.root), to_merge))

    def _committed(self, featurised: FeaturisedChunk) -> Commit:
        """The commit. What a store that fails has of it is not known, so the files stay then; the vacuum removes them."""
        try:
            return self._commit(featurised)
        except LeaseLost:
            self._drop(featurised)
            raise

    def _commit(self, featurised: FeaturisedChunk) -> Commit:
        began = time.monotonic()
        self.fence()
        if self._is_merged(featurised.chunk):
            self._merge(featurised)
        elif featurised.files:  # nothing to match: the files become the table's as they are
            self.commits.add(featurised.files, featurised.count("outcome"))
        seconds = {"featurise": featurised.seconds, "commit": time.monotonic() - began}
        lag = max((group.lag for group in featurised.groups if group.lag is not None), default=None)
        return Commit(featurised.count("outcome"), featurised.reasons, lag, seconds)

    def _drop(self, featurised: FeaturisedChunk) -> None:
        """Removes the files of a chunk that is not committed: they name images, of which another writer may erase one.

        What the table names stays: of a commit that was refused nobody knows for sure that none of its attempts arrived.
        """
        held = {file.path for file in Snapshot(self.root).files()} if featurised.files else ()
        for file in featurised.files:
            uri = data_files.uri(delta.folder(self.root), file)
            if objects.name(uri) not in held:
                _remove(uri)

    def _merge(self, featurised: FeaturisedChunk) -> None:
        """Merges the rows, then removes the workers' files. After a merge that failed, the vacuum removes them."""
        uris = [data_files.uri(delta.folder(self.root), file) for file in featurised.files]
        if uris:
            self.commits.merge(uris, [row.ingested_at for row in featurised.chunk.known], featurised.count("outcome"))
        for uri in uris:
            _remove(uri)

    def _looked_at(self, paths: Sequence[str]) -> list[Group]:
        """Featurises images and returns the outcomes; their rows are not kept."""
        references = pa.Table.from_pylist([{"path": path} for path in paths], arrow_schema.REFERENCES)
        groups = list(Bisection(self.workers, self._worker(to_merge=False), lambda: False)(references))
        for file in {group.file for group in groups if group.file}:
            _remove(data_files.uri(delta.folder(self.root), file))
        return groups


def _remove(uri: str) -> None:
    """Removes a data file that no commit names. One that cannot be removed only takes space until the vacuum."""
    try:
        objects.delete(uri)
    except FruitpipeError as error:
        say(f"{uri} stays until the table's old files go, as it cannot be removed now ({error})")
