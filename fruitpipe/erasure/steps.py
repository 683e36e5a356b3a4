"""The steps of an erasure: withdraw, remove, look again, search. Each is done for all requests that are at it, in one pass.

Each may be repeated: what is done already is left as it is. `execution` says which step follows which.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fruitpipe import objects
from fruitpipe.erasure import certificate, elsewhere, held_rows, image_objects, notes, places, register, search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.record import Erasure
from fruitpipe.erasure.version_replacement import Versions
from fruitpipe.refit import publication
from fruitpipe.table import commits, delta, lookup, upkeep
from fruitpipe.table.fence import Fence

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.settings import IngestSettings

EARLIER = "earlier versions of files"
NEED_A_COMMIT = ("features", "reduced", "models")  # what lies there is removed by a commit, or with a version


@dataclass(frozen=True)
class Request:
    """A request, with what is searched for to carry it out."""

    record: Erasure
    traces: Traces

    @property
    def id(self) -> str:
        """The id of its record."""
        return self.record.id


def together(requests: Sequence[Request]) -> Traces:
    """What is searched for to carry all of them out."""
    return Traces.all_of(request.traces for request in requests)


def gather(root: str, records: Sequence[Erasure]) -> list[Request]:
    """The requests with what is searched for, which is kept until the certificate: once the rows are gone nothing else has it.

    Reads the table's files, for the vectors of requests that are new. Raises NotFound, AccessDenied.
    """
    kept = {record.id: notes.traces(root, record.id) for record in records}
    names = {record.id: frozenset(notes.names(root, record.id)) for record in records if not kept[record.id]}
    every = frozenset[str]().union(*names.values())
    vectors = search.vectors_by_path(root, every) if every else {}
    for request, paths in names.items():
        held = [vector for path in paths for vector in vectors.get(path, ())]
        kept[request] = found = Traces.of(paths, held)
        notes.keep_traces(root, request, found)
    return _beside_rows(root, [Request(record, traces) for record in records if (traces := kept[record.id])])


def _beside_rows(root: str, requests: Sequence[Request]) -> list[Request]:
    """The requests beside all images that have rows by now: while one waits, images come in whose names hold one of its own."""
    every = together(requests).paths
    if not every:
        return list(requests)
    staying = [*held_rows.that_stay(root, every), *sorted(every)]
    return [replace(one, traces=one.traces.beside(one.traces.among(staying))) for one in requests]


@dataclass(frozen=True)
class Steps:
    """The steps, which only the table's one writer may do. `before_commit` raises where this process may no longer write."""

    spark: SparkSession
    settings: IngestSettings
    before_commit: Fence

    @property
    def versions(self) -> Versions:
        """The published versions."""
        return Versions(self.spark, self.settings.root, self.before_commit)

    def withdraw(self, requests: Sequence[Request]) -> list[Erasure]:
        """Removes what no reader can have open: objects, rows, lines, reports; unpublishes versions that hold the images."""
        root = self.settings.root
        for request in requests:
            if not request.record.keep_object:
                image_objects.remove(root, request.id)
        rows = self._remove_rows(requests)
        table = delta.describe(root)
        for request in requests:  # from here on no refit publishes what it read before
            self._note(request, Counter(features=rows[request.id]), features_table=table.id, features_version=table.version)
        removed = places.empty(root, {request.id: request.traces for request in requests})
        reports = places.empty_reports(root)
        for request in requests:
            redacted = register.redact(root, request.traces)
            self._note(request, removed[request.id] + Counter(reports=reports, erasures=redacted))
        versions = self.versions.replace(together(requests), self._left(requests))
        return [self._withdrawn(request, rows[request.id], versions) for request in requests]

    def _note(self, request: Request, removed: Counter[str], **more: Any) -> Erasure:
        """Adds what was removed to the record at once, as the next attempt finds it gone where the rest of a step fails."""
        record = register.find(self.settings.root, request.id)
        noted = replace(record, places=certificate.added(record.places, removed), **more)
        self.before_commit()
        register.save(self.settings.root, noted)
        return noted

    def _left(self, requests: Sequence[Request]) -> list[str]:
        """The files in which the last search found traces; none before the first."""
        notes_left = (notes.left(self.settings.root, request.id) for request in requests)
        return [uri for left in notes_left if left for uri in left.uris]

    def _remove_rows(self, requests: Sequence[Request]) -> dict[str, int]:
        """Deletes the rows; returns how many each request had."""
        root, paths = self.settings.root, sorted(together(requests).paths)
        there = lookup.of_paths(root, paths)
        self.before_commit()
        commits.remove(self.spark, root, paths, self.before_commit)
        return {request.id: sum(path in there for path in request.traces.paths) for request in requests}

    def _withdrawn(self, request: Request, rows: int, versions: int) -> Erasure:
        record, now = register.find(self.settings.root, request.id), datetime.now(UTC)
        anew = record.files_go_after is None or rows or versions
        if anew:
            notes.drop_left(self.settings.root, request.id)
        ends = now + timedelta(hours=self.settings.erasure_grace_hours)
        return replace(
            record,
            status="waiting",
            step="remove",
            carried_out_at=now.isoformat(timespec="seconds"),
            files_go_after=ends.isoformat(timespec="seconds") if anew else record.files_go_after,
            places=certificate.added(record.places, Counter(reduced=versions)),
            withdrawn=sorted({*record.withdrawn, *publication.withdrawn(self.settings.root)}),
            remaining=[],
        )

    def remove(self, requests: Sequence[Request]) -> list[Erasure]:
        """Removes files that a reader could have open: the table's old ones, its log, unpublished versions, S3's old versions."""
        root, sought = self.settings.root, together(requests)
        self.before_commit()
        upkeep.vacuum(self.spark, root, self.settings.erasure_grace_hours, datetime.now(UTC))
        self.before_commit()  # a vacuum may take minutes
        log = upkeep.cut_log(self.spark, root, requests[0].id)
        removed = places.empty(root, {request.id: request.traces for request in requests})
        versions = self.versions.discard_unpublished(sought)
        for request in requests:
            shared = Counter({"features log": log, "reduced versions removed": versions})
            self._note(request, removed[request.id] + shared)
        begun = max(datetime.fromisoformat(request.record.carried_out_at or request.record.requested_at) for request in requests)
        shared = Counter({EARLIER: objects.purge(root), "uploads in parts": image_objects.abort_uploads(root, begun)})
        return [replace(self._note(request, shared), status="searching", step="search") for request in requests]

    def look_again(self, requests: Sequence[Request]) -> list[Erasure]:
        """Tries once more to remove what was left. What needs a commit (the table, a version) goes back to `withdraw`."""
        root, done = self.settings.root, []
        for request in requests:
            if not request.record.keep_object:
                image_objects.remove(root, request.id)
            left = notes.left(root, request.id) or notes.Left()
            removed = places.empty_files(root, left.uris, {request.id: request.traces})[request.id]
            removed["erasures"] = register.redact(root, request.traces)
            of_table = any(search.place_of(root, uri) in NEED_A_COMMIT for uri in left.uris)
            record = register.find(root, request.id)
            done.append(
                replace(
                    record,
                    step="withdraw" if of_table else "search",
                    places=certificate.added(record.places, removed),
                )
            )
        return done

    def look(self, requests: Sequence[Request], stopped: threading.Event) -> search.Search:
        """Searches every file under the root, or, where all requests were searched before, only what was left then.

        Raises `search.Stopped` once `stopped` is set.
        """
        root = self.settings.root
        left, sought = [notes.left(root, request.id) for request in requests], together(requests)
        if all(left):
            found = search.of_files(dict.fromkeys(uri for one in left if one for uri in one.uris), sought, stopped)
            found.is_of_all, found.shared_before = False, frozenset[int]().union(*(one.shared for one in left if one))
        else:
            found = search.of_root(root, sought, stopped)
        if found.found:  # perhaps in what the stream wrote beside the search, of images that came in
            found.staying = held_rows.that_stay(root, sought.paths)
        return found

    def purge(self) -> int:
        """Removes earlier versions of what was removed or rewritten since `remove`, beside the search as well; returns how many.

        No certificate may be written before. Raises AccessDenied.
        """
        self.before_commit()
        return objects.purge(self.settings.root)

    def conclude(self, request: Request, found: search.Search, purged: int) -> Erasure:
        """Writes the certificate, or notes what is left; returns the record. found: by a search for this and other requests.

        purged: how many earlier versions of files were removed after it.
        """
        root, record = self.settings.root, request.record
        hits = search.of_one(found, request.traces)
        gone = notes.objects_of(root, request.id) or notes.Objects()
        left, told = certificate.remaining(root, record, hits, request.traces, gone)
        record = replace(
            record,
            places=certificate.with_objects(certificate.added(record.places, Counter({EARLIER: purged})), gone),
            verification=certificate.verification(root, record, found, hits, request.traces),
            remaining=[*left, *told],
            not_searched=certificate.ELSEWHERE,
            elsewhere=elsewhere.of(
                root,
                request.traces.paths,
                exports=[one.place for one in certificate.out_of_step(root)[0]],
                remains=bool(gone.left) or record.keep_object,
            ),
        )
        self.before_commit()  # what AWS keeps elsewhere is asked for many seconds
        if not (left or found.unread):
            return register.complete(root, record)
        notes.keep_left(root, request.id, notes.Left((*hits, *found.unread), found.shared))
        return replace(record, status="incomplete", step="look again")
