"""Admits a batch's events to the stream: records the requests to erase among them, and keeps erased images out."""

from __future__ import annotations

from collections.abc import Sequence

from fruitpipe.erasure import image_objects, places, register
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.register import Tombstones
from fruitpipe.errors import NotFound
from fruitpipe.output import say
from fruitpipe.root import layout
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.table import lookup


class Admission:
    """The admission of one root's events. has_requests: whether batches held requests since `reload` was last called."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.reload()

    def reload(self) -> None:
        """Reads the tombstones, after erasures were carried out."""
        self.has_requests = False
        self._tombstones = Tombstones.of(self._root)

    def admit(self, named: Sequence[ImageEvent]) -> list[ImageEvent]:
        """Records the requests to erase among a batch's events, and returns the events that the batch is to process.

        Left out are images that must not come back, and late events of erased images without a row: they change nothing, and a
        file that names the image would have to be erased again.
        """
        wanted = [event for event in named if event.event == "erase" and self._may_go(event.path)]
        if wanted:
            self.has_requests = True
            for keep_object in {event.keep_object for event in wanted}:
                paths = sorted(event.path for event in wanted if event.keep_object is keep_object)
                self._record(paths, keep_object=keep_object)
        covered = [event for event in named if event.event != "erase" and self._tombstones.covers(event.path)]
        told = places.files(self._root, "events") if covered else []  # before the looks: these have seen all that is told there
        late = _late(covered)
        if late:
            places.empty_lines(told, Traces.of(late))
        without_row = _without_row(self._root, late)
        own = (event for event in named if event.event != "erase" and event.path not in without_row)
        return [event for event in own if not self._tombstones.keeps_out(event.path)]

    def _may_go(self, path: str) -> bool:
        """Whether the path lies outside the root, links resolved; one inside is refused with a line."""
        if not layout.lies_in(path, self._root):
            return True
        say(f"erasure: {path} lies in the root, which holds no images; a line of a manifest that asks for it is ignored")
        return False

    def _record(self, wanted: Sequence[str], *, keep_object: bool) -> None:
        """Records a request for the images that no pending request covers yet: that of the command covers its own lines."""
        asked = register.still_asked(self._root, keep_object=keep_object)
        new = [path for path in wanted if not asked.covers(path)]
        if new:
            register.request(self._root, new, requested_by="a manifest", keep_object=keep_object)


def _late(events: Sequence[ImageEvent]) -> list[str]:
    """The erased images whose events only tell of the deletion by the erasure, or of an upload before it.

    What is there now was put back, and its own event may be in a manifest that is not read yet.
    """
    created, removed = ([event.path for event in events if event.event == kind] for kind in ("created", "removed"))
    there = set(image_objects.returned(removed))
    return [*image_objects.gone(created), *(path for path in removed if path not in there)]


def _without_row(root: str, paths: Sequence[str]) -> set[str]:
    """Those of `paths` of which the table has no row."""
    try:
        return set(paths) - lookup.of_paths(root, paths).keys() if paths else set()
    except NotFound:  # there is no table yet
        return set(paths)
