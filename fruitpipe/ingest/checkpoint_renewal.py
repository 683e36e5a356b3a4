"""Replaces a stream's checkpoint by a new one. The table has what is done, so that costs looks at images and no model call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fruitpipe.ingest import checkpoint, root_upkeep
from fruitpipe.output import say

if TYPE_CHECKING:
    from fruitpipe.ingest.root_upkeep import RootUpkeep
    from fruitpipe.settings import IngestSettings


def is_due(settings: IngestSettings) -> bool:
    """Whether `renew` would drop the checkpoint."""
    place = checkpoint.place(settings.root)
    return checkpoint.is_damaged(place) or checkpoint.is_old(place, settings.checkpoint_days)


def renew(settings: IngestSettings) -> None:
    """Drops a checkpoint that is damaged or old; to be called before the first query."""
    place = checkpoint.place(settings.root)
    if checkpoint.is_damaged(place):
        checkpoint.drop(place)
        say(f"ingest: {place} has lost its metadata; a new one begins, and images that manifests name are looked at once")
    if checkpoint.is_old(place, settings.checkpoint_days):
        checkpoint.drop(place)
        say(f"ingest: {place} was begun {settings.checkpoint_days:g} days ago; a new one begins")


def renew_full(settings: IngestSettings, upkeep: RootUpkeep) -> None:
    """Drops a checkpoint that names too many manifests that are gone; to be called between two queries.

    Manifests that are read are removed first, so that a new checkpoint reads almost none of them again. Raises LeaseLost where
    it may be another's stream by now that goes on from it.
    """
    place = checkpoint.place(settings.root)
    root_upkeep.clear_manifests(settings)
    upkeep.before_commit()
    checkpoint.drop(place)
    upkeep.renewed()
    say(f"ingest: {place} named over {root_upkeep.MOST_NAMED} manifests that are gone; a new one begins")
