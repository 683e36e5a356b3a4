"""Every place under the root where something of an image may lie, and the rule by which an erasure empties it.

What a reader may have open waits for the end of the grace; the rest is rewritten or removed at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fruitpipe import objects
from fruitpipe.erasure import search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.errors import AccessDenied
from fruitpipe.root import layout
from fruitpipe.runtime import cache, local_folders

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
    "erasures": "the request's own list of names removed with the certificate; who asked for another is, where that names them",
}
BY_LINES = ("events", "stale", "rejected", "checkpoints")
BY_FILES = ("reports", "triggers")

Removed = dict[str, Counter[str]]  # for each request, by its id: how many lines and files went from each place


def empty(root: str, sought: Mapping[str, Traces]) -> Removed:
    """Applies the rules that need not wait, for all requests in one pass."""
    folders = [objects.join(root, place) for place in (*BY_LINES, *BY_FILES)]
    return empty_files(root, (stat.path for folder in folders for stat in objects.list_all(folder)), sought)


def empty_files(root: str, uris: Iterable[str], sought: Mapping[str, Traces]) -> Removed:
    """Applies those rules to some files; what lies where another rule holds is left as it is."""
    removed: Removed = {name: Counter() for name in sought}
    every = Traces.all_of(sought.values())
    ruled = (uri for uri in uris if search.place_of(root, uri) in (*BY_LINES, *BY_FILES))
    for uri, body in search.bodies(ruled):
        place = search.place_of(root, uri)
        if place in BY_LINES:
            for line in _take_lines(uri, body, every):
                for name in (name for name, traces in sought.items() if traces.named_in(line)):
                    removed[name][place] += 1
        elif search.may_hold(uri, body, every):
            for name in [name for name, traces in sought.items() if search.may_hold(uri, body, traces)]:
                removed[name][place] += 1
            objects.erase(uri)
    return removed


def empty_lines(root: str, place: str, traces: Traces) -> None:
    """Removes the lines that name an image from the files of a place."""
    for uri, body in search.bodies([stat.path for stat in objects.list_all(objects.join(root, place))]):
        _take_lines(uri, body, traces)


def empty_reports(root: str) -> int:
    """Removes every report: a picture in it cannot be told from another by reading its bytes."""
    reports = [stat.path for stat in objects.list_all(layout.folder(root, "reports"))]
    return sum(objects.erase(uri) for uri in reports)


def lines_apart(body: bytes, traces: Traces) -> tuple[bytes, list[bytes]]:
    """The lines of a text that name none of the images, byte for byte, and those that do."""
    if not traces.named_in(body):
        return body, []
    lines = [(line, traces.named_in(line)) for line in body.splitlines(keepends=True)]
    return b"".join(line for line, is_named in lines if not is_named), [line for line, is_named in lines if is_named]


def _take_lines(uri: str, body: bytes, traces: Traces) -> list[bytes]:
    """The lines that named an image, which are gone from the file, and the file with the last of its lines."""
    kept, taken = lines_apart(body, traces)
    if taken and kept:
        rewrite(uri, kept)
    elif taken:
        objects.erase(uri)
    return taken


def rewrite(uri: str, body: bytes) -> None:
    """Puts other bytes in a file's place, in one step. The checksum that Hadoop may keep beside it goes first."""
    if not objects.is_s3(uri):
        folder, _, name = uri.rpartition("/")
        objects.delete(f"{folder}/.{name}.crc")
    objects.write(uri, body)


def on_this_machine(traces: Traces) -> list[str]:
    """Spark's logs and working files on this machine, outside the root, that name one of the images.

    What another user's process left, and cannot be read, may do so, too: it is told, and holds no proof up.
    """
    in_logs = _naming(cache.folder() / "logs", traces.named_in)
    # Spark writes a name there as it is, beside megabytes of models, which would take minutes to read in all spellings.
    return in_logs + _naming(local_folders.folder(), traces.stands_in)


def _naming(folder: Path, is_named: Callable[[bytes], bool]) -> list[str]:
    uri, shut = objects.canonical(str(folder)), list[str]()
    try:
        files = [stat.path for stat in objects.list_all(uri, shut.append)]
    except AccessDenied:
        return [uri]
    looks = ((file, objects.look(file)) for file in files)
    named = [
        file
        for file, look in looks
        if isinstance(look, objects.Unreadable) or (isinstance(look, objects.Found) and is_named(look.body))
    ]
    return shut + named
