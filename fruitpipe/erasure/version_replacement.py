"""Replaces published versions of the reduced features that hold erased images by one that is fitted without them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fruitpipe import objects
from fruitpipe.erasure import file_contents, search
from fruitpipe.erasure.unpacking import NotReadable
from fruitpipe.errors import Conflict, Damaged, NotEnoughRows, NotFound, WrongUsage
from fruitpipe.output import say
from fruitpipe.refit import changes, new_version, pointer, publication, version_model
from fruitpipe.root import layout
from fruitpipe.runtime import progress
from fruitpipe.settings import RefitSettings
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.erasure.byte_search import Traces
    from fruitpipe.refit.pointer import Pointer
    from fruitpipe.refit.version_model import Model

READERS = 8
ANSWERS = 10_000  # kept in memory: of each file of each published version, and of each set of requests


@dataclass(frozen=True)
class Versions:
    """The versions under a root. `before_commit` raises where this process may no longer write."""

    spark: SparkSession
    root: str
    before_commit: Callable[[], None]

    def holding(self, traces: Traces) -> list[str]:
        """The published versions that have a row of one of the images, by its whole name, or whose model names one."""
        return [version for version in publication.versions(self.root) if self._names(version, traces.of_names())]

    def replace(self, traces: Traces, found_in: Collection[str] = ()) -> int:
        """Publishes a version fitted on the rows that are left, and unpublishes those that hold the images; returns how many.

        found_in: URIs of the files in which a search of the root found traces. A version that has one of them need not name an
        image: it holds the vector of one where it was fitted on the same picture under another name. Raises MixedExtractors where
        the rows that are left are of several extractors.
        """
        found, holding = pointer.find(self.root), self._to_go(traces, found_in)
        if found and found.version in holding:
            self._publish_without(found)
            holding = self._to_go(traces, found_in)
        if holding:
            self.before_commit()  # the versions are read for minutes
            publication.withdraw(self.root, holding)
        return len(holding)

    def discard_unpublished(self, traces: Traces) -> int:
        """Removes unpublished versions that hold the images, those of killed refits too; returns how many."""
        held = [version for version in publication.unpublished(self.root) if self._holds(version, traces)]
        for version in held:
            publication.discard(self.root, version)
        return len(held)

    def _to_go(self, traces: Traces, found_in: Collection[str]) -> list[str]:
        named = self.holding(traces)
        return [version for version in publication.versions(self.root) if version in named or self._has_one(version, found_in)]

    def _has_one(self, version: str, uris: Collection[str]) -> bool:
        return any(layout.is_within(uri, folder) for uri in uris for folder in self._folders(version))

    def _names(self, version: str, traces: Traces) -> bool:
        stats = self._files(version)
        rows = [stat for stat in stats if vector_files.is_data(objects.name(stat.path))]
        return _have_row(rows, traces.paths) or _hold([stat for stat in stats if stat not in rows], traces)

    def _holds(self, version: str, traces: Traces) -> bool:
        return _hold(self._files(version), traces)

    def _files(self, version: str) -> list[objects.Stat]:
        return [stat for folder in self._folders(version) for stat in objects.list_all(folder)]

    def _folders(self, version: str) -> tuple[str, str]:
        return publication.reduced_uri(self.root, version), version_model.model_uri(self.root, version)

    def _publish_without(self, found: Pointer) -> None:
        previous, version = self._basis(found), found.version
        try:
            with publication.attempt(self.root) as name:
                self._fit(previous, name, RefitSettings(root=self.root, **_asked_of(previous)))
                self.before_commit()
                publication.switch(self.root, name)
        except NotEnoughRows:
            say(f"erasure: too few rows are left to fit a version in place of {version}")
        except Conflict:
            say(f"erasure: a refit that began later replaces {version}")
        else:
            say(f"erasure: {name} replaces {version}, fitted without what is erased")

    def _basis(self, found: Pointer) -> Model | None:
        """The model of the current version; None where it is damaged, as the version must be replaced all the same."""
        try:
            return version_model.load_basis(self.root, found, found.version)
        except (Damaged, NotFound) as error:
            say(f"erasure: {error}: the version in its place reads all rows and keeps the default share of the variance")
            return None

    def _fit(self, previous: Model | None, name: str, settings: RefitSettings) -> None:
        pinned = changes.pin(self.spark, settings.root)
        gathered = changes.gather(self.spark, pinned, previous)
        run = new_version.Run(
            spark=self.spark,
            settings=settings,
            version=name,
            pinned=pinned,
            previous=previous,
            gathered=gathered,
            began=time.monotonic(),
            bar=progress.Bar(),
        )
        try:
            new_version.fit_anew(run)
        except WrongUsage:  # the rows that are left allow fewer components than were asked for: keep all of them
            new_version.fit_anew(replace(run, settings=settings.model_copy(update={"variance": 1.0, "components": None})))


def _hold(stats: Sequence[objects.Stat], traces: Traces) -> bool:
    return any(search.may_hold(uri, body, traces) for uri, body in search.bodies(stat.path for stat in stats))


def _have_row(stats: Sequence[objects.Stat], paths: frozenset[str]) -> bool:
    with ThreadPoolExecutor(READERS, "fruitpipe-search") as readers:
        return any(list(readers.map(lambda stat: _has_row(stat, paths), stats)))


@lru_cache(maxsize=ANSWERS)
def _has_row(stat: objects.Stat, paths: frozenset[str]) -> bool:
    """Whether a file of a version has a row of one of these images, or may have, as it cannot be decoded.

    Asked several times for each erasure, and answered once: such a file never changes, and a stat tells one from another.
    """
    try:
        return not paths.isdisjoint(file_contents.images_of_rows(objects.opened(stat)))
    except NotReadable:
        return True
    except NotFound:  # it was removed meanwhile
        return False


def _asked_of(previous: Model | None) -> dict[str, Any]:
    """The settings of a refit that keeps the share of variance, or k, of `previous`, whatever k the environment has for refits.

    Without a model the share is that of any refit.
    """
    if previous is None:
        return {"components": None}
    share = previous.facts["variance_asked"]
    return {"variance": share, "components": None} if share else {"components": previous.facts["k"]}
