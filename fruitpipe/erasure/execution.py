"""Carries erasures out: the part of the stream that erases images and writes the certificates.

A request is at one step. Each round does every step for all requests that are at it:

| step | does | next step, status on success | otherwise |
|---|---|---|---|
| withdraw | removes objects, rows, lines, reports; publishes another version | remove, `waiting` | withdraw, `incomplete` |
| remove | after the grace period: removes the table's old files, log, versions | search, `searching` | remove, `incomplete` |
| search | reads every byte under the root | nothing, `done` | look again, `incomplete`; search where the root is refused |
| look again | every hour: tries again to remove what was left | search, of that alone | withdraw, for what needs a commit |

Before `remove`, a version that was published meanwhile and holds an image leads back to `withdraw`. The steps run while no
query runs, so nothing else reads or writes meanwhile. The search is the exception: it takes longest, and removes nothing, so it
runs beside the query; what it found is concluded between two queries, under the lease. Every step may be repeated: after a kill
the next stream begins with the step in the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure import certificate, image_objects, notes, register, steps
from fruitpipe.erasure.admission import Admission
from fruitpipe.erasure.record import ROWS_DELETED, Erasure, Status, counted
from fruitpipe.erasure.search_thread import SearchThread
from fruitpipe.erasure.steps import Request, Steps
from fruitpipe.errors import AccessDenied, DuplicateRows, InvalidResult, MixedExtractors, NotFound, PlatformFault
from fruitpipe.output import say
from fruitpipe.pictures import globs
from fruitpipe.refit import changes
from fruitpipe.root import layout, manifests
from fruitpipe.runtime import lineage, session
from fruitpipe.table.fence import Fence

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.settings import IngestSettings

RETRY_SECONDS = 3600.0  # from one attempt to the next at what could not be removed


@dataclass
class Eraser:
    """Takes requests out of each batch (`admit`), and carries pending ones out between two queries (`carry_out`).

    `before_commit` raises where this process may no longer write. told: of each round.
    """

    spark: SparkSession
    settings: IngestSettings
    before_commit: Fence
    told: lineage.Lineage = field(default_factory=lineage.Lineage)

    def __post_init__(self) -> None:
        self._admission = Admission(self.settings.root)
        self._not_before: float | None = None
        self._searching: SearchThread | None = None
        self._steps = Steps(self.spark, self.settings, self.before_commit)

    def admit(self, named: Sequence[manifests.ImageEvent]) -> list[manifests.ImageEvent]:
        """The events that a batch is to process; requests among `named` are recorded, see `admission`."""
        return self._admission.admit(named)

    def is_due(self) -> bool:
        """Whether the query must end so that erasures can be carried out."""
        has_searched = self._searching is not None and not self._searching.is_alive()
        is_time = self._not_before is not None and time.monotonic() >= self._not_before
        return self._admission.has_requests or has_searched or is_time

    def carry_out(self) -> None:
        """Does the steps that are due, and prints what became of each request."""
        self._not_before = None
        root = self.settings.root
        register.drop_abandoned(root)
        for record in register.finished(root):
            self._forget(record)
        if pending := register.pending(root):
            job = lineage.Job("fruitpipe.erasure", (), tuple(layout.folder(root, name) for name in ("features", "reduced")))
            with self.told.run(job) as counts:
                counts.update(counted(self._do_round(pending)))
                counts[ROWS_DELETED] -= counted(pending)[ROWS_DELETED]
        self._admission.reload()

    def stop(self) -> None:
        """Ends a search that runs, as the stream ends."""
        if self._searching:
            self._searching.stop()

    def _do_round(self, pending: Sequence[Erasure]) -> list[Erasure]:
        """Returns the records as they are after it."""
        self._conclude()
        busy = {request.id for request in self._searching.requests} if self._searching else set()
        requests = self._gathered([record for record in self._still(pending) if record.id not in busy])
        requests = self._do("look again", self._steps.look_again, requests)
        requests = self._do("withdraw", self._steps.withdraw, self._with_new_versions(requests))
        requests = self._do("remove", self._steps.remove, requests)
        self._search([request for request in requests if request.record.step == "search"])
        done = self._still(pending)
        for record in done:
            self._say(record)
        return done

    def _still(self, pending: Sequence[Erasure]) -> list[Erasure]:
        """The records as they are now."""
        return [register.find(self.settings.root, record.id) for record in pending]

    def _say(self, record: Erasure) -> None:
        say(f"erasure {record.id}: {certificate.summary(record)}")
        if record.status in ("waiting", "incomplete"):
            self._again_in(record.seconds_left or RETRY_SECONDS)

    def _again_in(self, seconds: float) -> None:
        self._not_before = min(self._not_before or float("inf"), time.monotonic() + seconds)

    def _gathered(self, pending: Sequence[Erasure]) -> list[Request]:
        """The requests with what is searched for. One that cannot be carried out now is saved as incomplete and left out."""
        root, known = self.settings.root, []
        for record in pending:
            try:
                notes.names(root, record.id)
            except NotFound:
                self._keep(_nameless(root, record))
            else:
                known.append(record)
        try:
            return steps.gather(root, known)
        except AccessDenied as error:
            self._put_off(known, error)
            return []

    def _with_new_versions(self, requests: list[Request]) -> list[Request]:
        """Sends waiting requests back to `withdraw` where a version that holds one of their images was published meanwhile."""
        waiting = [request for request in requests if request.record.step == "remove" and not request.record.seconds_left]
        try:
            is_back = bool(waiting) and bool(self._steps.versions.holding(steps.together(waiting)))
        except AccessDenied as error:  # it is not known: they wait until the store answers
            self._put_off((request.record for request in waiting), error)
            return [request for request in requests if request not in waiting]
        for request in waiting if is_back else ():
            self._keep(replace(request.record, step="withdraw"))
        return self._now(requests)

    def _do(self, step: str, do: Callable[[Sequence[Request]], list[Erasure]], requests: Sequence[Request]) -> list[Request]:
        """Does a step for the requests that are at it; where it fails they stay at it. Returns all requests as they are now."""
        due = [request for request in requests if request.record.step == step and not request.record.seconds_left]
        if not due:
            return list(requests)
        try:
            done = do(due)
        except (MixedExtractors, DuplicateRows, InvalidResult, AccessDenied, *session.SPARK_ERRORS) as error:
            left = _hindrance(error)
            done = [replace(request.record, status="incomplete", remaining=[left]) for request in self._now(due)]
        for record in done:
            self._keep(record)
        return self._now(requests)

    def _now(self, requests: Sequence[Request]) -> list[Request]:
        """The requests with their records as they are now: a step for one may have changed another's."""
        return [replace(request, record=register.find(self.settings.root, request.id)) for request in requests]

    def _keep(self, record: Erasure) -> None:
        self.before_commit()  # else it might take the place of another stream's certificate
        register.save(self.settings.root, record)

    def _search(self, requests: Sequence[Request]) -> None:
        """Starts the search on a thread; with `--once` runs it and waits, as nothing else is left to do."""
        if self._searching or not requests:
            return
        self._searching = SearchThread(self._steps.look, requests)
        if self.settings.once:
            self._searching.run()
            self._conclude()
        else:
            self._searching.start()

    def _conclude(self) -> None:
        """Writes certificates, or what is left, once a search has finished."""
        if self._searching is None or self._searching.is_alive():
            return
        ended, self._searching = self._searching, None
        try:
            found, purged = ended.result(), self._steps.purge()
        except AccessDenied as error:
            self._put_off((request.record for request in self._now(ended.requests)), error)
            return
        for request in self._now(ended.requests):
            concluded = self._steps.conclude(request, found, purged)
            self._keep(concluded)
            if concluded.status == "done":
                self._forget(concluded)

    def _put_off(self, records: Iterable[Erasure], error: AccessDenied) -> None:
        """Leaves requests at their steps, as the store refuses something, until the next attempt."""
        for record in records:
            self._keep(replace(record, status="incomplete", remaining=[certificate.refused(error)]))

    def _forget(self, record: Erasure) -> None:
        """Drops the notes of a request that has its certificate. An object put back meanwhile is new: a manifest names it.

        Where the images' store does not answer, the notes stay for another hour.
        """
        root = self.settings.root
        try:
            back = self._put_back(record)
        except (AccessDenied, PlatformFault):
            say(f"erasure {record.id}: nobody can say yet whether an image was put back; its list of names stays until then")
            self._again_in(RETRY_SECONDS)
            return
        now = datetime.now(UTC)
        for body in manifests.manifests(manifests.ImageEvent("created", path, event_time=now) for path in back):
            objects.write(manifests.manifest_uri(root, now, manifests.manifest_name("erased", now, body)), body)
        notes.drop(root, record.id)

    def _put_back(self, record: Erasure) -> list[str]:
        """The images whose objects are there again. Raises AccessDenied, PlatformFault."""
        try:
            paths = [] if record.keep_object else notes.names(self.settings.root, record.id)
        except NotFound:  # dropped already
            return []
        counts = globs.matcher(self.settings.glob)
        return [path for path in image_objects.returned(paths) if counts.match(objects.name(path))]


def _hindrance(error: Exception) -> dict[str, str]:
    """The certificate's entry for a step that failed. Raises `error` where it has nothing to do with the erasure."""
    if isinstance(error, MixedExtractors | DuplicateRows | InvalidResult):
        return certificate.unfitted(error)
    if isinstance(error, AccessDenied):
        return certificate.refused(error)
    if any(sign in str(error) for sign in changes.FILES_GONE):
        return certificate.damaged(error)
    raise error


def _nameless(root: str, record: Erasure) -> Erasure:
    """The record of a request whose list of names is lost: done once all its images were requested again and certified."""
    certified = {image for other in register.every(root) if other.status == "done" for image in other.images}
    status: Status = "done" if certified.issuperset(record.images) else "incomplete"
    return replace(record, status=status, step="nothing" if status == "done" else "withdraw", remaining=[register.NAMELESS])
