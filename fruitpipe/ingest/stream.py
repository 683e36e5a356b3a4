"""Runs the stream: one query after the other, and between two of them the work during which no query may run."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from fruitpipe.erasure import register
from fruitpipe.ingest import checkpoint, checkpoint_renewal, query, waiting_manifests
from fruitpipe.ingest.between_batches import BetweenBatches
from fruitpipe.ingest.query import End
from fruitpipe.ingest.repeated_listing import RepeatedListing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from fruitpipe.ingest.micro_batch import Batches
    from fruitpipe.ingest.prefix_listing import Listing
    from fruitpipe.ingest.root_upkeep import RootUpkeep
    from fruitpipe.settings import IngestSettings
    from fruitpipe.table.kept_hashes import KeptRowHashes


class Stream:
    """Runs queries over the manifests until all is done (`once`) or a signal asks the job to end.

    hashes: of the paths of all rows; dropped and read again after an erasure.
    """

    def __init__(self, spark: SparkSession, batches: Batches, upkeep: RootUpkeep, prefix: Listing, hashes: KeptRowHashes) -> None:
        self._spark, self._settings, self._batches = spark, batches.settings, batches
        self._upkeep, self._prefix, self._hashes = upkeep, prefix, hashes
        self._repeated = RepeatedListing(prefix)
        self._between = BetweenBatches(batches, upkeep, self._repeated)

    def run(self) -> None:
        """Runs until the job must end. Raises the error of a query, the listing or the upkeep."""
        try:
            self._carry_erasures_out()
            end = End.PAUSED
            while end is End.PAUSED:
                end = self._run_query()
                if end is End.PAUSED or (end is End.CAUGHT_UP and self._batches.eraser.is_due()):
                    self._do_what_is_due()
        finally:
            self._batches.eraser.stop()

    def _run_query(self) -> End:
        with listed(self._settings, self._prefix, self._repeated):
            self._batches.tally.bar.expect(partial(to_come, self._settings.root))
            return query.run(query.start(self._spark, self._settings, self._batches), self._batches, self._between)

    def _do_what_is_due(self) -> None:
        """Renews a full checkpoint and carries erasures out, while no query runs."""
        self._between.wait()
        if self._upkeep.wants_renewal():
            checkpoint_renewal.renew_full(self._settings, self._upkeep)
        if self._batches.eraser.is_due():
            self._carry_erasures_out()
            self._prefix.begin_anew()

    def _carry_erasures_out(self) -> None:
        """Carries out what is due, and drops what is kept of the rows that are gone."""
        is_due = self._batches.eraser.is_due() or not register.is_settled(self._settings.root)
        if is_due:
            self._hashes.drop()  # before as well: after a kill nobody would know that it is due
        self._batches.eraser.carry_out()
        if is_due:
            self._hashes.drop()


@contextmanager
def listed(settings: IngestSettings, prefix: Listing, repeated: RepeatedListing) -> Iterator[None]:
    """Lists the image prefix into manifests while the block runs; with `source` events does nothing."""
    if settings.source == "events":
        yield
    elif settings.once:
        if not prefix.is_listed:
            prefix.list_once()
        yield
    else:
        with repeated.running():
            yield


def to_come(root: str) -> int:
    """How many events wait in manifests, about as many as images; for the progress bar."""
    return waiting_manifests.count_lines(waiting_manifests.unread(root, checkpoint.place(root)))
