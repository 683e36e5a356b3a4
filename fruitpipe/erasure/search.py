"""Searches files for traces of erased images; a certificate rests on it. It reads bytes and does not ask the table.

A vector may belong to an image that stays, with the same picture, as well. Which vectors are shared is known only when every
file has been read. So evidence is collected file by file, in any order, and judged at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fruitpipe import objects
from fruitpipe.erasure import file_contents, notes
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.unpacking import NotReadable
from fruitpipe.errors import AccessDenied, NotFound
from fruitpipe.root import layout

READERS = 8


class Evidence(NamedTuple):
    """What one file shows: whether it names an erased image, and the digests of vectors that are searched for.

    vectors: of rows that name no other image. shared: of rows that name another image.
    """

    named: bool = False
    vectors: frozenset[int] = frozenset()
    shared: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self != NOTHING

    def is_trace(self, shared: frozenset[int]) -> bool:
        """Whether the file holds a trace of an erased image. shared: digests of vectors that images which stay have too."""
        return self.named or bool(self.vectors - shared)


NOTHING = Evidence()


class Stopped(Exception):
    """The search was stopped before its end, as the stream ends."""


@dataclass
class Search:
    """What was read, and what it showed. unread: the files that could not be decoded, and why.

    is_of_all: whether everything under the root was read, or only what an earlier search found; shared_before: what that one saw.
    staying: names of images that stay, known since then, in which one of ours can be read.
    """

    files: int = 0
    bytes: int = 0
    evidence: dict[str, Evidence] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    is_of_all: bool = True
    shared_before: frozenset[int] = frozenset()
    staying: list[str] = field(default_factory=list)

    @property
    def shared(self) -> frozenset[int]:
        """The digests of vectors that images which stay have too, by this search and the one before."""
        return self.shared_before.union(*(one.shared for one in self.evidence.values()))

    @property
    def found(self) -> list[str]:
        """The files that hold a trace of an erased image."""
        shared = self.shared
        return [uri for uri, one in self.evidence.items() if one.is_trace(shared)]


def place_of(root: str, uri: str) -> str:
    """The name of the folder under the root where a file lies."""
    return uri.removeprefix(f"{root}/").partition("/")[0]


def of_root(root: str, traces: Traces, stopped: threading.Event | None = None) -> Search:
    """Searches every file under the root except notes. Raises AccessDenied, and Stopped once `stopped` is set."""
    return of_files(uris_below(root), traces, stopped)


def of_files(uris: Iterable[str], traces: Traces, stopped: threading.Event | None = None) -> Search:
    """Searches these files; one that is gone holds nothing. Raises AccessDenied, and Stopped once `stopped` is set."""
    done = Search()
    for uri, body in bodies(uris):
        if stopped is not None and stopped.is_set():
            raise Stopped
        done.files, done.bytes = done.files + 1, done.bytes + len(body)
        try:
            if shown := of_file(uri, body, traces):
                done.evidence[uri] = shown
        except NotReadable as error:
            done.unread[uri] = str(error)
    return done


def of_one(found: Search, traces: Traces) -> list[str]:
    """The files with traces of one request's images, of those that a search for several requests found. Reads them again."""
    hits, traces = found.found, traces.beside(traces.among(found.staying))
    return [uri for uri, one in of_files(hits, traces).evidence.items() if one.is_trace(found.shared)] if hits else []


def of_file(uri: str, body: bytes, traces: Traces) -> Evidence:
    """What a file's name and bytes show. Raises NotReadable.

    The images that the file itself lists, as rows or events, are told from ours by their whole names.
    """
    shown = _of_file(uri, body, traces)
    staying = traces.among(file_contents.images(body)) if shown.named else []
    return _of_file(uri, body, traces.beside(staying)) if staying else shown


def _of_file(uri: str, body: bytes, traces: Traces) -> Evidence:
    named, vectors, shared = traces.named_in(objects.name(uri).encode()), frozenset[int](), frozenset[int]()
    for part in file_contents.parts(body, with_vectors=bool(len(traces.digests))):
        named = named or traces.stands_in(part.binary) or any(traces.named_in(text) for text in part.texts)
        vectors |= traces.windows_in(part.raw)
        if part.vectors is not None:
            own, others = _in_rows(part, part.vectors, traces)
            vectors, shared = vectors | own, shared | others
    return Evidence(named, vectors, shared)


def _in_rows(part: file_contents.Part, rows: NDArray[np.float32], traces: Traces) -> tuple[frozenset[int], frozenset[int]]:
    """The digests of vectors in rows that name no other image, and in rows that name another."""
    found, digests = traces.vectors_in(rows)
    if not found.any():
        return frozenset(), frozenset()
    named = list(zip(part.names_of(found), digests[found].tolist(), strict=True))
    others = frozenset(digest for path, digest in named if path is not None and path not in traces.paths)
    return frozenset(digest for path, digest in named if path is None or path in traces.paths), others


def is_of(line: bytes, traces: Traces) -> bool:
    """Whether a line of a manifest, or of another text, names one of the images: that of an event is told by its whole name."""
    return traces.named_in(line) and traces.beside(traces.among(file_contents.images_of_events(line))).named_in(line)


def may_hold(uri: str, body: bytes, traces: Traces) -> bool:
    """Whether a file, judged alone, may hold a trace; one that cannot be decoded may."""
    try:
        shown = of_file(uri, body, traces)
    except NotReadable:
        return True
    return shown.is_trace(shown.shared)


def vectors_by_path(root: str, paths: frozenset[str]) -> dict[str, list[NDArray[np.float32]]]:
    """The vectors of these images in all files of the table and of versions, current and earlier ones, each (d,) float32.

    The names in a file are read first, and its vectors, a hundred times as many bytes, only where one of `paths` is among them.
    """
    found: dict[str, list[NDArray[np.float32]]] = {}
    folders = [layout.folder(root, place) for place in ("features", "reduced")]
    listed = [stat for folder in folders for stat in objects.list_all(folder) if stat.path.endswith(".parquet")]
    with ThreadPoolExecutor(READERS, "fruitpipe-search") as readers:
        have_rows = list(readers.map(partial(_has_row_of, paths), listed))
    for _, body in bodies(stat.path for stat, has in zip(listed, have_rows, strict=True) if has):
        for path, vector in _rows_of(body, paths):
            found.setdefault(path, []).append(vector)
    return found


def _has_row_of(paths: frozenset[str], stat: objects.Stat) -> bool:
    """Whether a Parquet file has a row of one of these images. Reads one column.

    A file that a killed task left unfinished has none; the search names it if it stays.
    """
    try:
        return not paths.isdisjoint(file_contents.images_of_rows(objects.opened(stat)))
    except (NotReadable, NotFound):
        return False


def _rows_of(body: bytes, paths: frozenset[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for part in file_contents.parts(body):
        if part.vectors is not None and part.paths is not None:
            names = part.names_of(np.ones(len(part.vectors), bool))
            yield from ((path, part.vectors[row].copy()) for row, path in enumerate(names) if path is not None and path in paths)


def uris_below(root: str) -> Iterator[str]:
    """The URIs of every file under the root except notes."""
    return (stat.path for stat in objects.list_all(root) if not notes.is_note(root, stat.path))


def bodies(uris: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Each file's URI and bytes, in order, some read ahead; without files that are gone meanwhile. Raises AccessDenied."""
    named = list(uris)
    with ThreadPoolExecutor(READERS, "fruitpipe-search") as readers:
        for first in range(0, len(named), READERS):
            chunk = named[first : first + READERS]
            for uri, look in zip(chunk, readers.map(objects.look, chunk), strict=True):
                if isinstance(look, objects.Found):
                    yield uri, look.body
                elif isinstance(look, objects.Unreadable):
                    raise AccessDenied(f"{uri}: {look.message}; an erasure must read everything under the root")
