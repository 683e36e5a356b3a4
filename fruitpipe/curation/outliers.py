"""Images whose neighbours bear another label: most likely a wrong label, or a picture that shows something else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fruitpipe.curation.points import Points

SHOWN = 3  # of the neighbours with the other label


class Neighbour(NamedTuple):
    """One of the nearest images, and how far it is: `Points.distance`."""

    path: str
    label: str
    distance: float


class Outlier(NamedTuple):
    """An image, the label of most of its nearest images, how many of how many bear it, and the nearest of these."""

    path: str
    label: str
    majority: str
    votes: int
    of: int
    nearest: tuple[Neighbour, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return self._asdict() | {"nearest": [one._asdict() for one in self.nearest]}


def find(points: Points, count: int) -> list[Outlier]:
    """The images of which more than half of the `count` nearest others bear one other label; the clearest first."""
    neighbours = points.neighbours(count)
    found = []
    for row, near in enumerate(neighbours.tolist()):
        majority, votes = Counter(points.labels[other] for other in near).most_common(1)[0]
        if majority != points.labels[row] and 2 * votes > len(near):
            with_it = [other for other in near if points.labels[other] == majority][:SHOWN]
            nearest = tuple(Neighbour(points.paths[one], majority, points.distance(row, one)) for one in with_it)
            found.append(Outlier(points.paths[row], points.labels[row], majority, votes, len(near), nearest))
    return sorted(found, key=lambda one: (-one.votes, one.nearest[0].distance, one.path))
