"""A run with `--once` for few new images, put together without Spark. It imports what featurises, and no pyspark."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from fruitpipe.ingest.local_workers import LocalWorkers, There
from fruitpipe.ingest.small_run import Appends, NeedsSpark, SmallRun
from fruitpipe.ingest.tally import Tally
from fruitpipe.ingest.upsert import Upsert
from fruitpipe.jobs.ingest_parts import featuriser, look_up, within_reach
from fruitpipe.runtime import progress

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from fruitpipe.jobs.ingest import Parts


def take_in(parts: Parts, waiting: Sequence[str]) -> Counter[str] | None:
    """Takes in the images that the manifests at `waiting` name; images by outcome. None where it takes Spark."""
    prefix, fence, hashes = parts.prefix, parts.fence, parts.hashes
    settings = prefix.settings
    with progress.bar("ingest") as bar, closing(LocalWorkers(parts.model)) as workers:
        rows, featurise_by = Appends(settings.root, fence), featuriser(settings, parts.model, There())
        upsert = Upsert(workers, rows, settings.root, featurise_by, fence, look_up(settings, hashes), prefix.found_gone, bar)
        upsert.start_workers()
        tally = Tally(bar, parts.heard, settings.log_json)
        try:
            SmallRun(settings, upsert, look_up(settings, hashes), tally, within_reach(settings), parts.told)(waiting)
        except NeedsSpark:
            return None
    return tally.outcomes
