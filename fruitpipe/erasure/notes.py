"""The notes of a pending request: files beside its record that hold what identifies the images, until the certificate is there.

    <id>.names.json    the names
    <id>.traces.json   names, and digests and windows of the vectors, see `byte_search`
    <id>.objects.json  which objects were removed or refused
    <id>.left.json     the files in which the last search found something

A search of the root skips them. With the certificate they are removed, in all versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from fruitpipe import objects
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.root import layout

KINDS = ("names", "traces", "objects", "left")


@dataclass(frozen=True)
class Objects:
    """What became of the objects.

    removed: how many, with their versions. left: the index in `names` and the reason, for each object that the store refused to
    remove. linked: other names of the same bytes, as `image_objects` finds them.
    """

    removed: int = 0
    left: tuple[tuple[int, str], ...] = ()
    linked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Left:
    """What the last search found: the files, and the digests of vectors that images which stay have too."""

    uris: tuple[str, ...] = ()
    shared: frozenset[int] = frozenset()


def keep_names(root: str, request: str, paths: Iterable[str]) -> None:
    """Writes the names of the images, sorted, each once."""
    _keep(root, request, "names", sorted(set(paths)))


def names(root: str, request: str) -> list[str]:
    """The paths of the images of a pending request, sorted. Raises NotFound where somebody removed the list."""
    with _understood(uri(root, request, "names")):
        found: list[str] = json.loads(objects.read(uri(root, request, "names")))
        return [str(path) for path in _checked(found, list)]


def keep_traces(root: str, request: str, found: Traces) -> None:
    """Writes the traces: once the rows are gone, nothing else has the vectors."""
    objects.write(uri(root, request, "traces"), found.to_json())


def traces(root: str, request: str) -> Traces | None:
    """The traces that `keep_traces` wrote; None where they were not gathered yet."""
    body = _read(root, request, "traces")
    with _understood(uri(root, request, "traces")):
        return None if body is None else Traces.from_json(body)


def keep_objects(root: str, request: str, found: Objects) -> None:
    """Writes what became of the objects, as the stream may lack the right to remove them and to find out."""
    _keep(root, request, "objects", asdict(found))


def objects_of(root: str, request: str) -> Objects | None:
    """What `keep_objects` wrote; None where nobody tried to remove them yet."""
    body = _read(root, request, "objects")
    if body is None:
        return None
    with _understood(uri(root, request, "objects")):
        fields = json.loads(body)
        left = tuple((place, why) for place, why in fields.get("left", ()))
        return Objects(fields["removed"], left, tuple(fields.get("linked", ())))


def keep_left(root: str, request: str, found: Left) -> None:
    """Writes which files the next attempt has to search; their names may hold an image's."""
    _keep(root, request, "left", {"uris": found.uris, "twins": sorted(found.shared)})


def left(root: str, request: str) -> Left | None:
    """What `keep_left` wrote; None where everything has to be searched."""
    body = _read(root, request, "left")
    if body is None:
        return None
    with _understood(uri(root, request, "left")):
        fields = json.loads(body)
        return Left(tuple(fields["uris"]), frozenset(fields["twins"]))


def drop_left(root: str, request: str) -> None:
    """Removes what `keep_left` wrote, so that everything is searched again."""
    objects.erase(uri(root, request, "left"))


def drop(root: str, request: str) -> None:
    """Removes all notes of a request, in all versions; the names last, as nothing can be finished without them."""
    for kind in reversed(KINDS):
        objects.erase(uri(root, request, kind))


def is_note(root: str, at: str) -> bool:
    """Whether the URI `at` is that of a note."""
    return at.startswith(layout.folder(root, "erasures")) and at.endswith(tuple(f".{kind}.json" for kind in KINDS))


def uri(root: str, request: str, kind: str) -> str:
    """The URI of a request's note of one of KINDS."""
    return objects.join(layout.folder(root, "erasures"), f"{request}.{kind}.json")


def _keep(root: str, request: str, kind: str, content: object) -> None:
    objects.write(uri(root, request, kind), json.dumps(content).encode())


@contextmanager
def _understood(uri: str) -> Iterator[None]:
    """Raises Damaged for what cannot be read as what it should be."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(
            f"{uri}: is not what a pending erasure keeps ({type(error).__name__}: {error}); restore it, or remove it: without "
            "its names an erasure has to be requested again, all else is searched again"
        ) from error


def _checked(found: Any, kind: type) -> Any:
    if not isinstance(found, kind):
        raise TypeError(f"a {kind.__name__} expected")
    return found


def _read(root: str, request: str, kind: str) -> bytes | None:
    try:
        return objects.read(uri(root, request, kind))
    except NotFound:
        return None
