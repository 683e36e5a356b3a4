"""The record of each erasure under `<root>/erasures`: first a request, in the end a certificate.

    <id>.json  who asked, when, salted hashes of the images' names, what was found, removed and left; never a name
    salt       of this root; a hash can be checked only with it and the image's name

The request is recorded before anything is removed, so the next stream carries out what was killed on the way.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fruitpipe import objects
from fruitpipe.erasure import notes, record
from fruitpipe.erasure.bodies import Bodies
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.record import Erasure
from fruitpipe.errors import Conflict, NotFound, WrongRoot
from fruitpipe.root import layout

SALT_BYTES = 32
SALT = re.compile(rb"[0-9a-f]{64}")
RECORDS = 10_000  # kept in memory, of some 500 bytes each: the stream reads all of them again and again
NAMELESS = {  # `remaining` of a request whose list of names somebody removed
    "what": "everything: the request's own list of names is gone",
    "until": "it is asked for again",
    "why": "its record holds hashes alone, and says nothing to whoever does not know the names",
}
_bodies = Bodies(RECORDS)


def request(
    root: str, paths: Sequence[str], *, requested_by: str, keep_object: bool = False, asked_as: Sequence[str] = ()
) -> Erasure:
    """Writes the record of a request to erase `paths`, and the list of their names; returns the record."""
    now = datetime.now(UTC)
    name, salt = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}", Salt.of(root) if every(root) else Salt.made(root)
    hashed = [salt.hash(path) for path in paths]
    asked_at = now.isoformat(timespec="microseconds")  # the latest of an image's requests decides
    erasure = Erasure(name, asked_at, requested_by, keep_object, hashed, [salt.hash(one) for one in asked_as])
    notes.keep_names(root, name, paths)
    save(root, erasure)
    return erasure


def find(root: str, name: str) -> Erasure:
    """The record called `name`. Raises NotFound."""
    uri = _uri(root, f"{name}.json")
    return record.parsed(uri, objects.read(uri))


def every(root: str) -> list[Erasure]:
    """All records, oldest first. Costs a listing, and a read of each record that is new or has changed since the last call."""
    stats = list(objects.list_all(layout.folder(root, "erasures")))
    records = [stat for stat in stats if stat.path.endswith(".json") and objects.name(stat.path).count(".") == 1]
    found = [record.parsed(uri, body) for uri, body in _bodies.of(records)]
    return sorted(found, key=lambda erasure: (erasure.requested_at, erasure.id))


def pending(root: str) -> list[Erasure]:
    """The requests without a certificate yet, oldest first."""
    return [erasure for erasure in every(root) if erasure.status != "done"]


def is_settled(root: str) -> bool:
    """Whether no request is pending and no note names an image any more. Raises WrongRoot where the salt is gone."""
    Tombstones.of(root)
    kept = objects.list_all(layout.folder(root, "erasures"))
    return not (any(notes.is_note(root, stat.path) for stat in kept) or pending(root))


def save(root: str, erasure: Erasure) -> None:
    """Writes the record, over the one with its id."""
    uri = _uri(root, f"{erasure.id}.json")
    objects.write(uri, record.body(erasure))
    _bodies.drop(uri)  # a file's etag is its size and times, and a clock may stand still for some milliseconds


def complete(root: str, erasure: Erasure) -> Erasure:
    """Writes the record as a certificate and returns it. The notes of the request may be dropped from then on."""
    done = replace(erasure, status="done", step="nothing", completed_at=_iso(datetime.now(UTC)))
    save(root, done)
    return done


def finished(root: str) -> list[Erasure]:
    """The requests that have their certificate but still keep notes, as a process was killed between the two."""
    keeping = {name.partition(".")[0] for name in objects.children(layout.folder(root, "erasures")) if name.count(".") > 1}
    return [erasure for erasure in every(root) if erasure.status == "done" and erasure.id in keeping]


def drop_abandoned(root: str) -> None:
    """Removes what killed processes left: notes of requests that they never recorded, and files that they never finished."""
    recorded = {erasure.id for erasure in every(root)}
    long_ago = datetime.now(UTC) - timedelta(hours=1)  # a command may be about to write its record
    for stat in list(objects.list_all(layout.folder(root, "erasures"))):
        name = objects.name(stat.path)
        is_needed = not notes.is_note(root, stat.path) or name.partition(".")[0] in recorded
        if stat.modification_time < long_ago and (objects.is_unfinished(stat.path) or not is_needed):
            objects.erase(stat.path)


def redact(root: str, traces: Traces) -> int:
    """Removes `requested_by` from the records where it names one of the images; returns how many those were."""
    naming = [erasure for erasure in every(root) if traces.named_in(erasure.requested_by.encode())]
    for erasure in naming:
        save(root, replace(erasure, requested_by="(removed: it named an image that was erased later)"))
    return len(naming)


@dataclass(frozen=True)
class Salt:
    """The salt of a root, with which the names of its erased images are hashed."""

    bytes: bytes

    @classmethod
    def of(cls, root: str) -> Salt:
        """Reads the root's salt. Raises WrongRoot where it is gone or damaged: no hash could be checked any more."""
        uri = _uri(root, "salt")
        try:
            found = objects.read(uri)
        except NotFound as error:
            raise WrongRoot(f"{uri} is gone, without which the records of erasures say nothing; restore it") from error
        if not SALT.fullmatch(found):
            raise WrongRoot(f"{uri} is damaged, without which the records of erasures say nothing; restore it")
        return cls(found)

    @classmethod
    def made(cls, root: str) -> Salt:
        """Makes the root's salt, with its first request, and returns it; returns the one that is there, if any."""
        with suppress(Conflict):
            objects.write(_uri(root, "salt"), secrets.token_hex(SALT_BYTES).encode(), if_absent=True)
        return cls.of(root)

    def hash(self, path: str) -> str:
        """HMAC-SHA-256 of the name, in hexadecimal."""
        return hmac.new(self.bytes, path.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Tombstones:
    """The salted hashes of all images that somebody asked to erase.

    erased: of the images of all requests, pending and finished. kept: of images that must not become rows
    again, as their request is still being carried out or their object stays where it is.
    """

    salt: Salt | None
    erased: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()

    @classmethod
    def of(cls, root: str) -> Tombstones:
        """Reads those of all requests under the root. Raises WrongRoot where there are some and the salt is gone."""
        records = every(root)
        if not records:
            return cls(None)
        # The latest request for an image decides: the object may have been erased after all, and put back.
        kept = {image: erasure.keep_object or erasure.status != "done" for erasure in records for image in erasure.images}
        return cls(Salt.of(root), frozenset(kept), frozenset(image for image, is_kept in kept.items() if is_kept))

    def keeps_out(self, path: str) -> bool:
        """Whether the image must not become a row, though its object may be there."""
        return bool(self.kept) and self.salt is not None and self.salt.hash(path) in self.kept

    def covers(self, path: str) -> bool:
        """Whether somebody asked to erase the image."""
        return self.salt is not None and self.salt.hash(path) in self.erased


def erased_since(root: str, when: datetime) -> Tombstones:
    """The images whose erasure ended after `when`, or has not ended: a list of names that was made then may hold them.

    A certificate's time is in whole seconds, so one of that second counts.
    """
    ended = ((erasure, erasure.completed_at) for erasure in every(root))
    later = [erasure for erasure, at in ended if at is None or datetime.fromisoformat(at) >= when.replace(microsecond=0)]
    return (
        Tombstones(Salt.of(root), frozenset(image for erasure in later for image in erasure.images))
        if later
        else Tombstones(None)
    )


def still_asked(root: str, *, keep_object: bool) -> Tombstones:
    """The images of pending requests that do as much as one with `keep_object`, except those whose list of names is lost.

    One that erases the object too does more than one that leaves it.
    """
    does_enough = (record for record in pending(root) if keep_object or not record.keep_object)
    asked = [record for record in does_enough if NAMELESS not in record.remaining]
    return (
        Tombstones(Salt.of(root), frozenset(image for record in asked for image in record.images)) if asked else Tombstones(None)
    )


def check_pinned(root: str, table: str, version: int) -> None:
    """Raises Conflict where rows of this version of the table were erased since: it must not be published any more."""
    of_table = (erasure.features_version for erasure in every(root) if erasure.features_table == table)
    erased = max((found for found in of_table if found is not None), default=-1)
    if version < erased:
        raise Conflict(
            f"images of features version {version} were erased meanwhile (version {erased}); nothing is published. Refit again"
        )


def gone_from_table(root: str) -> frozenset[str]:
    """The ids of the requests whose images have no rows any more."""
    return frozenset(erasure.id for erasure in every(root) if erasure.features_version is not None)


def gone_from_versions(root: str) -> frozenset[str]:
    """The ids of the requests whose images are in no published version any more, which takes minutes longer."""
    return frozenset(erasure.id for erasure in every(root) if erasure.carried_out_at is not None)


def check_shown(root: str, uri: str, before: frozenset[str]) -> None:
    """Removes a page with pictures, and raises Conflict, where images were erased while it was made: it may show them.

    before: the requests whose images were gone from what it was made of before that was read. An erasure whose rows go later
    removes the page itself.
    """
    if gone_from_table(root) - before:
        objects.erase(uri)
        raise Conflict(f"{uri}: images were erased while it was made, so it was removed again; run the command again")


def _uri(root: str, name: str) -> str:
    return objects.join(layout.folder(root, "erasures"), name)


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
