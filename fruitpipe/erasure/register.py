"""The record of each erasure under `<root>/erasures`: a request first, a proof in the end.

    <id>.json          who asked, when, salted hashes of the images' names, what was found, removed and left; never a name
    <id>.names.json    the names, and <id>.traces.json what their vectors are known by; both until the proof is complete
    salt               of this root: without it, and without the name, a hash says nothing

The request is there before anything is destroyed, so that whatever is killed on the way is carried out by the next stream.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from fruitpipe import objects
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.errors import Conflict, NotFound, WrongRoot
from fruitpipe.root import layout

SALT_BYTES = 32
RECORDS = 10_000  # kept in memory by their etag, of some 500 bytes each: the stream asks for all of them again and again
Status = Literal["requested", "waiting", "incomplete", "done"]


@dataclass(frozen=True)
class Erasure:
    """One request and what has become of it; times are ISO 8601 in UTC.

    images: salted hashes; asked_as: those of a prefix or label that stood for them. status: ``requested``; ``waiting``, where all
    that is left is the grace for readers, until `files_go_after`; ``incomplete``, where `remaining` says what could not be
    removed yet; ``done``. features_table, features_version: of the table without the rows, by Delta's own id. places: what was
    removed from each, by which rule. not_searched: where this software does not reach.
    """

    id: str
    requested_at: str
    requested_by: str
    keep_object: bool
    images: list[str]
    asked_as: list[str] = field(default_factory=list)
    status: Status = "requested"
    carried_out_at: str | None = None
    files_go_after: str | None = None
    features_table: str | None = None
    features_version: int | None = None
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    verification: dict[str, Any] | None = None
    remaining: list[dict[str, str]] = field(default_factory=list)
    not_searched: list[str] = field(default_factory=list)
    completed_at: str | None = None


def request(
    root: str, paths: Sequence[str], *, requested_by: str, keep_object: bool = False, asked_as: Sequence[str] = ()
) -> Erasure:
    """Records that `paths` are to be erased, before anything is."""
    now = datetime.now(UTC)
    name, salt = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}", Salt.of(root) if every(root) else Salt.made(root)
    hashed = [salt.hash(path) for path in paths]
    erasure = Erasure(name, _iso(now), requested_by, keep_object, hashed, [salt.hash(one) for one in asked_as])
    objects.write(_uri(root, f"{name}.names.json"), json.dumps(sorted(paths)).encode())
    save(root, erasure)
    return erasure


def find(root: str, name: str) -> Erasure:
    """The record called `name`. Raises NotFound."""
    return _erasure(objects.read(_uri(root, f"{name}.json")))


def every(root: str) -> list[Erasure]:
    """All records, oldest first. One listing, and a read of each record that is new or has changed since this was last asked."""
    stats = list(objects.list_all(layout.folder(root, "erasures")))
    records = [stat for stat in stats if stat.path.endswith(".json") and objects.name(stat.path).count(".") == 1]
    found = [_erasure(_body_of(stat.path, stat.etag)) for stat in records]
    return sorted(found, key=lambda erasure: (erasure.requested_at, erasure.id))


def pending(root: str) -> list[Erasure]:
    """The requests that are not proved yet, oldest first."""
    return [erasure for erasure in every(root) if erasure.status != "done"]


def is_settled(root: str) -> bool:
    """Whether no request is pending, and nothing is kept that names an image. Raises WrongRoot where the salt is gone."""
    Tombstones.of(root)
    kept = objects.list_all(layout.folder(root, "erasures"))
    return not (any(is_private(root, stat.path) for stat in kept) or pending(root))


def names(root: str, erasure: Erasure) -> list[str]:
    """The images that a pending request names."""
    found: list[str] = json.loads(objects.read(_uri(root, f"{erasure.id}.names.json")))
    return found


def traces(root: str, erasure: Erasure) -> Traces | None:
    """What is known of the images' vectors, once that was gathered."""
    try:
        return Traces.from_json(objects.read(_uri(root, f"{erasure.id}.traces.json")))
    except NotFound:
        return None


def keep_traces(root: str, erasure: Erasure, found: Traces) -> None:
    """Keeps what the vectors are known by: once the rows are gone, nothing else tells."""
    objects.write(_uri(root, f"{erasure.id}.traces.json"), found.to_json())


def note_removed(root: str, erasure: Erasure, count: int) -> None:
    """Says that all objects, `count` with their versions, are gone: whoever runs the stream may lack the right to remove any."""
    objects.write(_uri(root, f"{erasure.id}.objects.json"), json.dumps({"removed": count}).encode())


def removed_objects(root: str, erasure: Erasure) -> int | None:
    """What `note_removed` said, if it did."""
    try:
        return int(json.loads(objects.read(_uri(root, f"{erasure.id}.objects.json")))["removed"])
    except NotFound:
        return None


def save(root: str, erasure: Erasure) -> None:
    """Writes the record as it is now."""
    objects.write(_uri(root, f"{erasure.id}.json"), _body(erasure))
    _body_of.cache_clear()  # a file's etag is its size and times, and a clock may stand still for some milliseconds


def complete(root: str, erasure: Erasure) -> Erasure:
    """The proof; then the last that holds the names goes, here or, where this is killed, at the next start."""
    done = replace(erasure, status="done", completed_at=_iso(datetime.now(UTC)))
    save(root, done)
    forget(root, done)
    return done


def forget(root: str, erasure: Erasure) -> None:
    """Removes what a request keeps of the images, in all versions."""
    for kind in ("names", "traces"):
        objects.erase(_uri(root, f"{erasure.id}.{kind}.json"))


def forget_done(root: str) -> None:
    """Removes what is kept for no pending request: the command, or the stream, was killed at that very point."""
    status = {erasure.id: erasure.status for erasure in every(root)}
    long_ago = datetime.now(UTC) - timedelta(hours=1)  # a command may be about to write its record
    for stat in list(objects.list_all(layout.folder(root, "erasures"))):
        name = objects.name(stat.path).partition(".")[0]
        abandoned = name not in status and stat.modification_time < long_ago
        if is_private(root, stat.path) and (status.get(name) == "done" or abandoned):
            objects.erase(stat.path)


def redact(root: str, traces: Traces) -> int:
    """Takes out of all records who asked, where that names one of the images; how many those were."""
    naming = [erasure for erasure in every(root) if traces.named_in(erasure.requested_by.encode())]
    for erasure in naming:
        save(root, replace(erasure, requested_by="(removed: it named an image that was erased later)"))
    return len(naming)


def is_private(root: str, uri: str) -> bool:
    """Whether this is what a pending request keeps of the images."""
    return uri.startswith(layout.folder(root, "erasures")) and uri.endswith((".names.json", ".traces.json"))


@dataclass(frozen=True)
class Salt:
    """The root's own salt."""

    bytes: bytes

    @classmethod
    def of(cls, root: str) -> Salt:
        """That of the root. Raises WrongRoot where it is gone: no hash of any record would say anything any more."""
        uri = _uri(root, "salt")
        try:
            return cls(objects.read(uri))
        except NotFound as error:
            raise WrongRoot(f"{uri} is gone, without which the records of erasures say nothing; restore it") from error

    @classmethod
    def made(cls, root: str) -> Salt:
        """That of the root, made with its first request."""
        with suppress(Conflict):
            objects.write(_uri(root, "salt"), secrets.token_hex(SALT_BYTES).encode(), if_absent=True)
        return cls.of(root)

    def hash(self, path: str) -> str:
        """HMAC-SHA-256 of the name, in hexadecimal."""
        return hmac.new(self.bytes, path.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Tombstones:
    """The hashes of what was asked to go.

    kept: of images that must not come back as rows, since the request is still being carried out or the object stays where it is.
    """

    salt: Salt | None
    erased: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()

    @classmethod
    def of(cls, root: str) -> Tombstones:
        """Those of all requests under the root."""
        records = every(root)
        if not records:
            return cls(None)
        # The latest request for an image decides: the object may have been erased after all, and put there anew.
        kept = {image: erasure.keep_object or erasure.status != "done" for erasure in records for image in erasure.images}
        return cls(Salt.of(root), frozenset(kept), frozenset(image for image, is_kept in kept.items() if is_kept))

    def keeps_out(self, path: str) -> bool:
        """Whether the image must not be looked at, though its object may be there."""
        return bool(self.kept) and self.salt is not None and self.salt.hash(path) in self.kept

    def covers(self, path: str) -> bool:
        """Whether somebody asked for the image to go."""
        return self.salt is not None and self.salt.hash(path) in self.erased


def check_pinned(root: str, table: str, version: int) -> None:
    """Raises Conflict where rows of this version of the table were erased since: nothing of it may be published any more."""
    of_table = (erasure.features_version for erasure in every(root) if erasure.features_table == table)
    erased = max((found for found in of_table if found is not None), default=-1)
    if version < erased:
        raise Conflict(
            f"images of features version {version} were erased meanwhile (version {erased}); nothing is published. Refit again"
        )


def _uri(root: str, name: str) -> str:
    return objects.join(layout.folder(root, "erasures"), name)


@lru_cache(maxsize=RECORDS)
def _body_of(uri: str, etag: str) -> bytes:  # noqa: ARG001 - what the bytes are kept by
    return objects.read(uri)


def _erasure(body: bytes) -> Erasure:
    return Erasure(**json.loads(body))


def _body(erasure: Erasure) -> bytes:
    return json.dumps(asdict(erasure), indent=2).encode()


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
