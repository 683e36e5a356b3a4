"""Every place under the root where something of an image may lie, and the rule by which an erasure empties it.

What a reader may have open waits for the end of the grace; the rest is rewritten or removed at once. `search` is the independent
reader: it takes the bytes of every file, whatever it is called, and is what the proof stands on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fruitpipe import objects
from fruitpipe.erasure import file_contents, register
from fruitpipe.erasure.byte_search import Traces, digests_of
from fruitpipe.errors import AccessDenied
from fruitpipe.root import layout
from fruitpipe.runtime import cache

READERS = 8
RULES = {
    "features": "rows deleted; the files that held them, of rows and of changes, removed after the grace; the log cut after that",
    "reduced": "a version that holds them is replaced at once and removed after the grace",
    "models": "a model fitted with them is replaced at once and removed after the grace",
    "reports": "removed, all of them: they show pictures; fruitpipe report makes them again",
    "events": "lines that name them removed",
    "stale": "lines that name them removed",
    "rejected": "lines that name them removed",
    "checkpoints": "entries that name them removed from the stream's lists of files",
    "triggers": "files that name them removed",
    "erasures": "the request's own list of names removed with the proof; who asked for another is, where that names them",
}
BY_LINES = ("events", "stale", "rejected", "checkpoints")
BY_FILES = ("reports", "triggers")


@dataclass
class Search:
    """What a search of the whole root read, and where it found something; `unread` are files that could not be understood."""

    files: int = 0
    bytes: int = 0
    found: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    twins: list[NDArray[np.uint64]] = field(default_factory=list)

    def by_place(self, root: str) -> dict[str, int]:
        """The number of files with traces in each place."""
        return dict(Counter(place_of(root, uri) for uri in self.found))


def place_of(root: str, uri: str) -> str:
    """The name of the folder under the root where a file lies."""
    return uri.removeprefix(f"{root}/").partition("/")[0]


def search(root: str, traces: Traces) -> Search:
    """Reads every byte under the root, but for what pending requests keep. Files of rows come first: they tell of twins."""
    done = Search()
    stats = [stat for stat in objects.list_all(root) if not register.is_private(root, stat.path)]
    stats.sort(key=lambda stat: (place_of(root, stat.path) != "features", stat.path))
    for uri, body in _bodies([stat.path for stat in stats]):
        done.files, done.bytes = done.files + 1, done.bytes + len(body)
        sought = traces.without_digests(np.concatenate(done.twins)) if done.twins else traces
        try:
            if holds(uri, body, sought, done.twins):
                done.found.append(uri)
        except file_contents.NotReadable as error:
            done.unread.append(f"{uri}: {error}")
    return done


def holds(uri: str, body: bytes, traces: Traces, twins: list[NDArray[np.uint64]] | None = None) -> bool:
    """Whether a file's name, or its bytes, hold a name or a vector that is looked for.

    A vector that is another image's as well, in a row with that image's name, is no trace; its digest is added to `twins`.
    """
    if traces.named_in(objects.name(uri).encode()):
        return True
    return any(_part_holds(part, traces, twins if twins is not None else []) for part in file_contents.parts(body))


def may_hold(uri: str, body: bytes, traces: Traces) -> bool:
    """Like `holds`, but for a file that cannot be read: that one may."""
    try:
        return holds(uri, body, traces)
    except file_contents.NotReadable:
        return True


def _part_holds(part: file_contents.Part, traces: Traces, twins: list[NDArray[np.uint64]]) -> bool:
    if (
        traces.stands_in(part.binary)
        or any(traces.named_in(text) for text in part.texts)
        or (part.raw and traces.window_in(part.raw))
    ):
        return True
    if part.vectors is None:
        return False
    found = traces.vectors_in(part.vectors)
    if part.paths is not None:
        others = np.array([path is not None and path not in traces.paths for path in part.paths], bool)
        if (found & others).any():
            twins.append(digests_of(part.vectors[found & others]))
        found &= ~others
    return bool(found.any())


def empty(root: str, traces: Traces) -> Counter[str]:
    """Applies the rules that need not wait; returns what was removed, by place: lines, or files."""
    removed = Counter({place: empty_lines(root, place, traces) for place in BY_LINES})
    for place in BY_FILES:
        for uri, body in _bodies([stat.path for stat in objects.list_all(objects.join(root, place))]):
            if not register.is_private(root, uri) and may_hold(uri, body, traces):
                removed[place] += objects.erase(uri)
    return +removed


def empty_lines(root: str, place: str, traces: Traces) -> int:
    """Removes the lines that name an image from the files of a place; how many those were."""
    removed = 0
    for uri, body in _bodies([stat.path for stat in objects.list_all(objects.join(root, place))]):
        kept = without_lines(body, traces)
        if len(kept) < len(body):
            if kept:
                rewrite(uri, kept)
            else:
                objects.erase(uri)
            removed += len(body.splitlines()) - len(kept.splitlines())
    return removed


def empty_reports(root: str) -> Counter[str]:
    """Removes every report: a picture in it cannot be told from another by reading its bytes."""
    reports = [stat.path for stat in objects.list_all(layout.folder(root, "reports"))]
    return +Counter(reports=sum(objects.erase(uri) for uri in reports))


def without_lines(body: bytes, traces: Traces) -> bytes:
    """The lines of a text that name none of the images; the others byte for byte."""
    if not traces.named_in(body):
        return body
    return b"".join(line for line in body.splitlines(keepends=True) if not traces.named_in(line))


def rewrite(uri: str, body: bytes) -> None:
    """Puts other bytes in a file's place, in one step. The checksum that Hadoop may keep beside it goes first."""
    if not objects.is_s3(uri):
        folder, _, name = uri.rpartition("/")
        objects.delete(f"{folder}/.{name}.crc")
    objects.write(uri, body)


def vectors_of(root: str, paths: frozenset[str]) -> list[NDArray[np.float32]]:
    """All vectors that any file of rows has, or had, under these names: current ones, earlier ones and reduced ones."""
    found = []
    for place in ("features", "reduced"):
        stats = [stat.path for stat in objects.list_all(layout.folder(root, place)) if stat.path.endswith(".parquet")]
        for _, body in _bodies(stats):
            with suppress(file_contents.NotReadable):  # what a killed task had begun; `search` names it if it stays
                for part in file_contents.parts(body):
                    if part.vectors is not None and part.paths is not None:
                        found += [part.vectors[row] for row, path in enumerate(part.paths) if path in paths]
    return found


def logs(traces: Traces) -> list[str]:
    """Spark's logs on this machine, outside the root, that name one of the images."""
    folder = objects.canonical(str(cache.folder() / "logs"))
    return [uri for uri, body in _bodies([stat.path for stat in objects.list_all(folder)]) if traces.named_in(body)]


def _bodies(uris: list[str]) -> Iterator[tuple[str, bytes]]:
    """The files' bytes, in order, some read ahead. One that is gone meanwhile holds nothing."""
    with ThreadPoolExecutor(READERS, "fruitpipe-search") as readers:
        for first in range(0, len(uris), READERS):
            chunk = uris[first : first + READERS]
            for uri, look in zip(chunk, readers.map(objects.look, chunk), strict=True):
                if isinstance(look, objects.Found):
                    yield uri, look.body
                elif isinstance(look, objects.Unreadable):
                    raise AccessDenied(f"{uri}: {look.message}; an erasure must read everything under the root")
