"""What was made of a root's versions and put outside of it: `<root>/models/exports.json`. An erasure names these."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.errors import Conflict, Damaged, NotFound
from fruitpipe.refit import publication

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "exports.json"
ATTEMPTS = 8
APP, DATASET, VECTORS, LANCE = "app", "dataset folder", "S3 Vectors index", "LanceDB table"


class Export(NamedTuple):
    """What was made of a version: the URI of its place, the folder there, where it has one of its own, and its kind."""

    place: str
    folder: str
    version: str
    kind: str = APP

    @property
    def uri(self) -> str:
        """Of the folder, or of the place; of an index, whose name begins with the place's."""
        if self.kind == VECTORS:
            return objects.join(self.place.rpartition("/")[0], self.folder)
        return objects.join(self.place, self.folder) if self.folder else self.place

    @property
    def holds(self) -> str:
        """What of the images is in it."""
        return "sums of features by label, no picture and no name" if self.kind == APP else "names, labels and reduced features"

    @property
    def way_out(self) -> str:
        """What a user can do about one of a version that is not to be there any more."""
        if self.kind == APP:
            return f"fruitpipe app --root ROOT {self.place} writes it again, or with --remove takes it away"
        return f"fruitpipe publish --root ROOT --to {self.place} brings it in step, or with --remove takes it away"


def every(root: str) -> list[Export]:
    """All that were written and not removed, the newest last. Raises Damaged."""
    return _read(root)[0]


def at(root: str, place: str) -> list[Export]:
    """Those at a place. Raises Damaged."""
    return [one for one in every(root) if one.place == place]


def withdrawn(root: str) -> list[Export]:
    """Those of versions that are not published any more, as an erasure withdrew them or newer ones took their place."""
    published = publication.versions(root)
    return [one for one in every(root) if one.version not in published]


def stands(root: str, new: Export) -> bool:
    """Whether one is the newest at its place, of a version that is still published.

    Else an erasure came in between, or another run: two that write a place at once may each remove what the other wrote.
    """
    of_kind = [one for one in at(root, new.place) if (one.kind == APP) == (new.kind == APP)]
    return of_kind[-1:] == [new] and new.version in publication.versions(root)


def add(root: str, new: Export) -> None:
    """Notes one as the newest; before it is written, so that none is forgotten."""
    _update(root, lambda found: [*(one for one in found if one != new), new])


def drop(root: str, gone: Export) -> None:
    """Forgets one that was removed."""
    _update(root, lambda found: [one for one in found if one != gone])


def _update(root: str, change: Callable[[list[Export]], list[Export]]) -> None:
    for _ in range(ATTEMPTS):
        found, etag = _read(root)
        body = json.dumps([one._asdict() for one in change(found)], indent=1, ensure_ascii=False).encode()
        try:
            objects.write(_uri(root), body, if_absent=etag is None, if_etag=etag)
        except Conflict:  # another was noted at the same moment
            continue
        return
    raise Conflict(f"{_uri(root)}: changed {ATTEMPTS} times meanwhile; run the command again")


def _read(root: str) -> tuple[list[Export], str | None]:
    uri = _uri(root)
    try:
        body, etag = objects.read_with_etag(uri)
    except NotFound:
        return [], None
    try:
        return [Export(**one) for one in json.loads(body)], etag
    except (ValueError, TypeError) as error:
        raise Damaged(
            f"{uri}: does not read back ({error}); remove it, and run fruitpipe app --root {root} OUT again for each OUT, "
            f"and fruitpipe publish --root {root} --to TARGET for each TARGET, of which an index is to be deleted first"
        ) from error


def _uri(root: str) -> str:
    return objects.join(objects.canonical(root), "models", FILE)
