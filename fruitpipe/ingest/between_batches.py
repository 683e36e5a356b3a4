"""The work between two batches: recomputing rows of another extractor, and upkeep. New images always come first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fruitpipe.ingest.recompute import Recomputation

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from pyspark.sql.streaming.query import StreamingQuery

    from fruitpipe.ingest.repeated_listing import RepeatedListing
    from fruitpipe.ingest.root_upkeep import RootUpkeep
    from fruitpipe.ingest.tally import Tally
    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.settings import IngestSettings


class Writer(Protocol):
    """The part of `Batches` that is needed here."""

    settings: IngestSettings
    tally: Tally

    def between(self, work: Callable[[], object]) -> None: ...
    def recompute(self, named: Sequence[ImageEvent]) -> None: ...


class BetweenBatches:
    """Recomputes rows of another extractor and does the root's upkeep, in short pieces between two batches."""

    def __init__(self, batches: Writer, upkeep: RootUpkeep, listing: RepeatedListing) -> None:
        settings = batches.settings
        self._batches, self._upkeep, self._listing = batches, upkeep, listing
        self._recomputation = Recomputation(settings.root, settings.stale_per_second, batches.recompute)
        self._once, self._caught_up = settings.once, False

    def step(self, query: StreamingQuery) -> None:
        """Does a short piece of work, if any is due and no image is waiting. Raises the error of the listing thread."""
        self._listing.check()
        if not self._once and self._is_idle(query.status):
            self._batches.between(self._recomputation.step)
        self._batches.between(lambda: self._upkeep.step(self._batches.tally.commits))

    def wait(self) -> None:
        """Returns when no upkeep runs in the background any more."""
        self._upkeep.wait()

    def _is_idle(self, status: dict[str, Any]) -> bool:
        waiting = status["message"].startswith("Waiting")  # for the next trigger, or for data
        self._caught_up = self._caught_up or waiting
        return waiting or (self._caught_up and not status["isDataAvailable"])

    def finish(self, stop: threading.Event) -> None:
        """Does all that is due, once every waiting image is in the table; ends early when `stop` is set."""
        while not stop.is_set() and self._recomputation.finish():
            pass
        if not stop.is_set():
            self._upkeep.finish(self._batches.tally.commits)
