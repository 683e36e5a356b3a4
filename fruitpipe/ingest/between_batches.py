"""The work between two batches: rows of another extractor, and upkeep. New images always go first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fruitpipe.ingest.recompute import Recomputation

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from pyspark.sql.streaming.query import StreamingQuery

    from fruitpipe.ingest.repeated_listing import Repeated
    from fruitpipe.ingest.root_upkeep import RootUpkeep
    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.settings import IngestSettings


class Writer(Protocol):
    """The part of the stream's batches that is needed here; `commits` counts them."""

    settings: IngestSettings
    commits: int

    def between(self, work: Callable[[], object]) -> None: ...
    def recompute(self, named: Sequence[ImageEvent]) -> None: ...


class Between:
    """Recomputes rows of another extractor and does the root's upkeep, in short pieces between two batches."""

    def __init__(self, batches: Writer, upkeep: RootUpkeep, listing: Repeated) -> None:
        settings = batches.settings
        self._batches, self._upkeep, self._listing = batches, upkeep, listing
        self._anew = Recomputation(settings.root, settings.stale_per_second, batches.recompute)
        self._once, self._caught_up = settings.once, False

    def step(self, query: StreamingQuery) -> None:
        """A short piece of work, if any is due; what has arrived goes first. Raises the error of the listing beside it."""
        self._listing.check()
        if not self._once and self._is_idle(query.status):
            self._batches.between(self._anew.step)
        self._batches.between(lambda: self._upkeep.step(self._batches.commits))

    def wait(self) -> None:
        """Returns when nothing goes on beside the batches any more."""
        self._upkeep.wait()

    def _is_idle(self, status: dict[str, Any]) -> bool:
        waiting = status["message"].startswith("Waiting")  # for the next trigger, or for data
        self._caught_up = self._caught_up or waiting
        return waiting or (self._caught_up and not status["isDataAvailable"])

    def finish(self, asked: threading.Event) -> None:
        """All that is left to do, once everything that has arrived is in the table; until it is `asked` to stop."""
        while not asked.is_set() and self._anew.finish():
            pass
        if not asked.is_set():
            self._upkeep.finish(self._batches.commits)
