"""Failures that are all alike: whether the images are to blame, or the platform.

A permission that was taken away, or a worker that crashes on anything, is not the images' fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from fruitpipe import objects
from fruitpipe.errors import PlatformFault
from fruitpipe.ingest.chunks import FeaturisedChunk
from fruitpipe.table import lookup
from fruitpipe.table.data_files import Group

ALIKE = 5  # so many images of one chunk, and not one that fares better: the platform is at fault, and not they ...
CONTROLS = 3  # ... and of fewer, where none of so many images that were good before fares better now


@dataclass(frozen=True)
class Judge:
    """Tells whose fault it is. look_at: what becomes of images when they are looked at now, without a row of theirs."""

    root: str
    look_at: Callable[[Sequence[str]], list[Group]]

    def check(self, featurised: FeaturisedChunk) -> None:
        """Raises PlatformFault where the platform is to blame.

        What was unreadable before and still is says nothing new. A few images alone say little: good ones of the table, or else
        their neighbours, are looked at with them; where there are none, a crash is the image's and a refusal the store's.
        """
        reasons = featurised.count("error")
        unreadable_before = sum(row.error == "unreadable" for row in featurised.chunk.known)
        for reason, before in (("unreadable", unreadable_before), ("crashes-decoder", 0), ("decoder-error", 0)):
            images = reasons[reason]
            if (
                images == reasons.total()
                and images > before
                and (images - before >= ALIKE or self._controls_fail(featurised.chunk.paths, reason))
            ):
                message = next(group.message for group in featurised.groups if group.error == reason)
                raise PlatformFault(
                    f"all {images} images of this batch are {reason} ({message}); nothing was written. Mend that first"
                )

    def _controls_fail(self, paths: Sequence[str], reason: str) -> bool:
        controls = lookup.good_paths(self.root, CONTROLS, paths) or _neighbours(paths)
        if not controls:
            return reason == "unreadable"
        return not any(group.outcome == "featurised" for group in self.look_at(controls))


def _neighbours(paths: Sequence[str]) -> list[str]:
    """Other objects in the folder of the first."""
    beside = (stat.path for stat in objects.list_all(paths[0].rpartition("/")[0]))
    return list(islice((path for path in beside if path not in paths), CONTROLS))
