"""The images that were listed before, as hashes: 16 bytes an image, where a name takes 150. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fruitpipe.table.path_hashes import among


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Seen:
    """A set of images, each with the etag that it had when it was last seen.

    paths: hashes of the paths, (n,) int64, sorted. images: hashes of path and etag, (n,) int64, in the same order. `path_hashes`
    makes both.
    """

    paths: NDArray[np.int64] = field(default_factory=_none)
    images: NDArray[np.int64] = field(default_factory=_none)

    @classmethod
    def of(cls, paths: NDArray[np.int64], images: NDArray[np.int64]) -> Seen:
        """Makes the set from pairs of hashes, (n,) int64 each, in any order; the last of a path counts. 0.2 s for a million."""
        unique, places = np.unique(paths[::-1], return_index=True)
        return cls(unique, images[::-1][places])

    def __len__(self) -> int:
        return len(self.paths)

    def has(self, paths: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these images, (n,), were seen with this etag: (n,) bool."""
        if not len(self):
            return np.zeros(len(paths), bool)
        places = np.searchsorted(self.paths, paths).clip(max=len(self) - 1)
        found: NDArray[np.bool_] = (self.paths[places] == paths) & (self.images[places] == images)
        return found

    def missing_in(self, listed: Seen) -> NDArray[np.int64]:
        """The hashes of the paths that are not `listed`, with any etag: (m,) int64, sorted."""
        return self.paths[~among(listed.paths, self.paths)]

    def without(self, paths: NDArray[np.int64]) -> Seen:
        """The set without these hashes of paths, (m,) int64, sorted."""
        stays = ~among(paths, self.paths)
        return Seen(self.paths[stays], self.images[stays])

    def updated(self, later: Seen) -> Seen:
        """The union; for a path in both, `later` counts."""
        alone = self.without(later.paths)
        if not len(alone):
            return later
        return Seen.of(np.concatenate([alone.paths, later.paths]), np.concatenate([alone.images, later.images]))
