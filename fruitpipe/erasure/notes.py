"""What a pending request keeps of its images, beside its record, until the certificate is complete.

    <id>.names.json    the names
    <id>.traces.json   what their vectors are known by
    <id>.objects.json  what became of the objects
    <id>.left.json     what a search found

A search of the root passes them over; with the certificate they go, in all versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from fruitpipe import objects
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.errors import NotFound
from fruitpipe.root import layout

KINDS = ("names", "traces", "objects", "left")


@dataclass(frozen=True)
class Objects:
    """What became of the objects.

    removed: how many, with their versions. left: of those that the store refused to remove, the place in `names`, and why.
    linked: what else held the bytes of some of them.
    """

    removed: int = 0
    left: tuple[tuple[int, str], ...] = ()
    linked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Left:
    """What a search of everything found: the files, and the digests of vectors that are other images' as well."""

    uris: tuple[str, ...] = ()
    twins: frozenset[int] = frozenset()


def keep_names(root: str, request: str, paths: Iterable[str]) -> None:
    """Keeps the names of the images, each once."""
    _keep(root, request, "names", sorted(set(paths)))


def names(root: str, request: str) -> list[str]:
    """The images that a pending request names, sorted. Raises NotFound where somebody removed the list."""
    found: list[str] = json.loads(objects.read(uri(root, request, "names")))
    return found


def keep_traces(root: str, request: str, found: Traces) -> None:
    """Keeps what the vectors are known by: once the rows are gone, nothing else tells."""
    objects.write(uri(root, request, "traces"), found.to_json())


def traces(root: str, request: str) -> Traces | None:
    """What is known of the images' vectors, once that was gathered."""
    body = _read(root, request, "traces")
    return Traces.from_json(body) if body else None


def keep_objects(root: str, request: str, found: Objects) -> None:
    """Keeps what became of the objects: whoever runs the stream may lack the right to remove any."""
    _keep(root, request, "objects", asdict(found))


def objects_of(root: str, request: str) -> Objects | None:
    """What `keep_objects` kept; None where nobody tried to remove them yet."""
    body = _read(root, request, "objects")
    if not body:
        return None
    fields = json.loads(body)
    return Objects(
        fields["removed"], tuple((place, why) for place, why in fields.get("left", ())), tuple(fields.get("linked", ()))
    )


def keep_left(root: str, request: str, found: Left) -> None:
    """Keeps what the next attempt has to look at; the files' names may hold an image's."""
    _keep(root, request, "left", {"uris": found.uris, "twins": sorted(found.twins)})


def left(root: str, request: str) -> Left | None:
    """What `keep_left` kept; None where everything is to be searched."""
    body = _read(root, request, "left")
    if not body:
        return None
    fields = json.loads(body)
    return Left(tuple(fields["uris"]), frozenset(fields["twins"]))


def drop_left(root: str, request: str) -> None:
    """Has everything searched again."""
    objects.erase(uri(root, request, "left"))


def drop(root: str, request: str) -> None:
    """Removes all that is kept, in all versions; the names last, as without them nothing else can be finished."""
    for kind in reversed(KINDS):
        objects.erase(uri(root, request, kind))


def is_note(root: str, at: str) -> bool:
    """Whether a URI is that of something which a pending request keeps of its images."""
    return at.startswith(layout.folder(root, "erasures")) and at.endswith(tuple(f".{kind}.json" for kind in KINDS))


def uri(root: str, request: str, kind: str) -> str:
    """Where a note lies."""
    return objects.join(layout.folder(root, "erasures"), f"{request}.{kind}.json")


def _keep(root: str, request: str, kind: str, content: object) -> None:
    objects.write(uri(root, request, kind), json.dumps(content).encode())


def _read(root: str, request: str, kind: str) -> bytes | None:
    try:
        return objects.read(uri(root, request, kind))
    except NotFound:
        return None
