"""Carries erasures out: the part of the stream, the only writer, that makes images go and proves that they went.

It runs while no query does, so that nothing is read or written beside it. Every step may be repeated: whatever is killed on the
way, the next stream begins the pending requests anew and finds what is done. There are two rounds: at once, all that no reader
can have open; after the grace, the files that one could, and then the proof.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure import certificate, places, register
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.register import Erasure, Tombstones
from fruitpipe.errors import AccessDenied, Conflict, DuplicateRows, MixedExtractors, NotEnoughRows, WrongUsage
from fruitpipe.extractor.inference import FEATURES
from fruitpipe.output import say
from fruitpipe.refit import changes, new_version, pointer, publication
from fruitpipe.root import manifests
from fruitpipe.runtime import progress
from fruitpipe.settings import RefitSettings
from fruitpipe.table import delta, lookup, upkeep
from fruitpipe.table.fence import Fence

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.refit.publication import Model
    from fruitpipe.settings import IngestSettings

REMOVERS = 16  # objects removed at the same time
RETRY_SECONDS = 3600.0  # from one attempt to the next at what could not be removed


@dataclass
class Eraser:
    """Asked in each batch what of it concerns an erasure, and between two queries to carry out what is pending."""

    spark: SparkSession
    settings: IngestSettings
    before_commit: Fence

    def __post_init__(self) -> None:
        self.asked = False
        self._not_before: float | None = None
        self._tombstones = Tombstones.of(self.settings.root)

    def admit(self, named: Sequence[manifests.ImageEvent]) -> list[manifests.ImageEvent]:
        """The events that are the batch's own: requests to erase are recorded, images that must not come back left out."""
        wanted = sorted(event.path for event in named if event.event == "erase")
        if wanted:
            self.asked = True
            self._record(wanted)
        late = [event.path for event in named if self._tombstones.covers(event.path) and _tells_nothing_new(event)]
        if late:
            places.empty_lines(self.settings.root, "events", Traces.of(late))
        return [event for event in named if event.event != "erase" and not self._tombstones.keeps_out(event.path)]

    def is_due(self) -> bool:
        """Whether the query is to end so that erasures can be carried out."""
        return self.asked or (self._not_before is not None and time.monotonic() >= self._not_before)

    def carry_out(self) -> None:
        """Does what is pending, as far as its time has come; says what became of each request."""
        self.asked, self._not_before = False, None
        root = self.settings.root
        register.forget_done(root)
        waiting = [self._step(erasure) for erasure in register.pending(root)]
        self._tombstones = Tombstones.of(root)
        for done in waiting:
            say(f"erasure {done.id}: {certificate.summary(done)}")
            if done.status != "done":
                seconds = _seconds_left(done)
                self._not_before = min(self._not_before or float("inf"), time.monotonic() + (seconds or RETRY_SECONDS))

    def _record(self, wanted: list[str]) -> None:
        """Makes requests of the lines that a manifest holds, but for those that are recorded already."""
        pending = {
            path for erasure in register.pending(self.settings.root) for path in register.names(self.settings.root, erasure)
        }
        new = [path for path in wanted if path not in pending]
        if new:
            register.request(self.settings.root, new, requested_by="a manifest", keep_object=False)

    def _step(self, erasure: Erasure) -> Erasure:
        root = self.settings.root
        traces = self._traces(erasure)
        try:
            if erasure.status != "waiting" or _holding(root, traces):
                erasure = self._first_round(erasure, traces)
                register.save(root, erasure)
            return erasure if _seconds_left(erasure) else self._second_round(erasure, traces)
        except (MixedExtractors, DuplicateRows) as error:
            left = certificate.unfitted(error)
        except AccessDenied as error:
            left = certificate.refused(error)
        erasure = replace(register.find(root, erasure.id), status="incomplete", remaining=[left])
        register.save(root, erasure)
        return erasure

    def _traces(self, erasure: Erasure) -> Traces:
        """What is looked for; gathered before anything goes, and kept until the proof."""
        root = self.settings.root
        found = register.traces(root, erasure)
        if found is None:
            paths = frozenset(register.names(root, erasure))
            longer = lookup.that_begin_with(root, paths)
            found = Traces.of(paths, places.vectors_of(root, paths), longer)
            register.keep_traces(root, erasure, found)
        return found

    def _first_round(self, erasure: Erasure, traces: Traces) -> Erasure:
        root, removed, remaining = self.settings.root, Counter[str](), list[dict[str, str]]()
        if not erasure.keep_object:
            already = register.removed_objects(root, erasure)
            removed["objects"], remaining = (already, []) if already is not None else erase_objects(sorted(traces.paths))
            if already is not None and erasure.carried_out_at:
                removed["objects"] = 0  # counted when this was tried before
        self.before_commit()
        removed["features"] = delta.remove(self.spark, root, sorted(traces.paths), self.before_commit)
        # From here on no refit publishes what it read before.
        table, version = delta.describe(self.spark, root).id, delta.version(self.spark, root)
        erasure = replace(erasure, features_table=table, features_version=version)
        register.save(root, erasure)
        removed.update(places.empty(root, traces) + places.empty_reports(root))
        removed["erasures"] = register.redact(root, traces)
        removed["reduced"] = self._replace_versions(traces)
        now = datetime.now(UTC)
        anew = erasure.files_go_after is None or removed["features"] or removed["reduced"]
        return replace(
            erasure,
            status="waiting",
            carried_out_at=_iso(now),
            files_go_after=_iso(now + timedelta(hours=self.settings.erasure_grace_hours)) if anew else erasure.files_go_after,
            places=certificate.added(erasure.places, removed),
            remaining=remaining,
        )

    def _replace_versions(self, traces: Traces) -> int:
        """Fits a version on what is left and unpublishes those that hold the images; returns how many those were."""
        root = self.settings.root
        found, holding = pointer.find(root), _holding(root, traces)
        if found and found.version in holding:
            self._publish_without(found.version)
            holding = _holding(root, traces)
        if holding:
            publication.withdraw(root, holding)
        return len(holding)

    def _publish_without(self, version: str) -> None:
        root, previous = self.settings.root, publication.load_model(self.settings.root, version)
        asked = previous.facts["variance_asked"]
        wanted = {"variance": asked} if asked else {"components": previous.facts["k"]}
        try:
            with publication.attempt(root) as name:
                self._fit(previous, name, RefitSettings(root=root, **wanted))
                self.before_commit()
                publication.switch(root, name)
        except NotEnoughRows:
            say(f"erasure: too few rows are left to fit a version in place of {version}")
        except Conflict:
            say(f"erasure: a refit that began later replaces {version}")
        else:
            say(f"erasure: {name} replaces {version}, fitted without what is erased")

    def _fit(self, previous: Model, name: str, settings: RefitSettings) -> None:
        pinned = changes.pin(self.spark, settings.root)
        gathered = changes.gather(self.spark, pinned, previous, FEATURES)
        run = new_version.Run(self.spark, settings, name, pinned, previous, gathered, time.monotonic(), progress.Bar())
        try:
            new_version.fit_anew(run)
        except WrongUsage:  # fewer components can be had of the rows that are left than were asked for: all that can
            new_version.fit_anew(replace(run, settings=settings.model_copy(update={"variance": 1.0, "components": None})))

    def _second_round(self, erasure: Erasure, traces: Traces) -> Erasure:
        root = self.settings.root
        if register.removed_objects(root, erasure) is not None:  # by the command, after this had tried in vain
            erasure = replace(erasure, remaining=[one for one in erasure.remaining if one["what"] != certificate.OBJECT])
        self.before_commit()
        upkeep.vacuum(self.spark, root, self.settings.erasure_grace_hours, datetime.now(UTC))
        cut = upkeep.cut_log(self.spark, root, erasure.id)
        removed = places.empty(root, traces) + _discard_unpublished(root, traces)
        removed["features log"] = cut
        removed["earlier versions of files"] = objects.purge(root)
        found = places.search(root, traces)
        erasure = replace(
            erasure,
            places=certificate.added(erasure.places, removed),
            verification=certificate.verification(root, found),
            remaining=certificate.remaining(root, erasure, found, places.logs(traces)),
            not_searched=certificate.ELSEWHERE,
        )
        if found.found or found.unread or any(one["what"] == certificate.OBJECT for one in erasure.remaining):
            erasure = replace(erasure, status="incomplete")
            register.save(root, erasure)
            return erasure
        return register.complete(root, erasure)


def erase_objects(paths: Sequence[str]) -> tuple[int, list[dict[str, str]]]:
    """Removes the objects with all their versions: how many those were, and what is locked or out of reach."""
    remaining = []
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-erase") as removers:
        done = [(path, removers.submit(objects.erase, path)) for path in paths]
    count = 0
    for _, removing in done:
        try:
            count += removing.result()
        except AccessDenied as error:
            remaining.append(
                {"what": certificate.OBJECT, "until": "access is granted or its lock ends", "why": certificate.reason(error)}
            )
    return count, remaining


def _tells_nothing_new(event: manifests.ImageEvent) -> bool:
    """Whether it is S3's word of our own deletion, or of an image that was there before it."""
    if event.event == "created":
        return isinstance(objects.look(event.path, max_bytes=0), objects.Gone)
    return event.event == "removed"


def _holding(root: str, traces: Traces) -> list[str]:
    """The published versions whose rows, or whose model, name one of the images."""
    named = traces.of_names()
    return [version for version in publication.versions(root) if _version_holds(root, version, named)]


def _version_holds(root: str, version: str, traces: Traces) -> bool:
    for folder in (publication.reduced_uri(root, version), publication.model_uri(root, version)):
        for stat in objects.list_all(folder):
            if places.may_hold(stat.path, objects.read(stat.path), traces):
                return True
    return False


def _discard_unpublished(root: str, traces: Traces) -> Counter[str]:
    """Removes the versions that were withdrawn, and what a refit left that was killed, where they hold the images."""
    removed: Counter[str] = Counter()
    for version in publication.unpublished(root):
        if _version_holds(root, version, traces):
            publication.discard(root, version)
            removed["reduced versions removed"] += 1
    return removed


def _seconds_left(erasure: Erasure) -> float:
    if erasure.status != "waiting" or erasure.files_go_after is None:
        return 0.0
    return max(0.0, (datetime.fromisoformat(erasure.files_go_after) - datetime.now(UTC)).total_seconds())


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
