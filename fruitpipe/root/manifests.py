"""Image events and the manifests that carry them: parse, write, keep one event an image. Standard library only.

An event is a hint that an image may have changed; the object store is the truth. So what matters is that no image is missed,
and not which of several events of one image is kept.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any, Literal, cast

Kind = Literal["created", "removed", "erase"]
KINDS = ("created", "removed", "erase")
MAX_LENGTH = 2**63 - 1
HEXADECIMAL = re.compile(r"[0-9a-fA-F]+")
LONGEST_KEY = 1024  # bytes, in S3
IMAGE_PATH = re.compile(r"s3://[^/]+/.*[^/]|file:///.*[^/]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """Something happened to the image at `path`, which is a canonical URI and never percent-encoded.

    `etag` and `length` are the object's at that moment, where the event tells them; `sequencer` is S3's hexadecimal counter;
    `archived` says that a listing has found it in a class of storage that nobody can read before it is restored; `keep_object`
    that an erasure leaves the object where it is.
    """

    event: Kind
    path: str
    etag: str | None = None
    length: int | None = None
    event_time: datetime | None = None
    sequencer: str | None = None
    archived: bool = False
    keep_object: bool = False


def parse_line(line: str) -> ImageEvent:
    """The event that one line of a manifest holds. Raises ValueError, which says what is wrong with the line."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(fields, dict) or not fields:
        raise ValueError(f"{fields!r}: not a JSON object with the fields event and path")
    return ImageEvent(
        event=_kind(fields.get("event")),
        path=_path(fields.get("path")),
        etag=_etag(fields.get("etag")),
        length=_length(fields.get("length")),
        event_time=_time(fields.get("event_time")),
        sequencer=_sequencer(fields.get("sequencer")),
        archived=fields.get("archived") is True,
        keep_object=fields.get("keep_object") is True,
    )


def to_line(event: ImageEvent) -> str:
    """The event as a line of a manifest, without the line break; the same event always gives the same line.

    Pure ASCII: a key may hold a line break, or a character that a reader of lines takes for one.
    """
    fields = {
        "event": event.event,
        "path": event.path,
        "etag": event.etag,
        "length": event.length,
        "event_time": event.event_time and _iso(event.event_time),
        "sequencer": event.sequencer,
    }
    return json.dumps(fields | {name: True for name in ("archived", "keep_object") if getattr(event, name)})


def latest(events: Iterable[ImageEvent]) -> list[ImageEvent]:
    """One event an image, in the order in which the images were first named.

    An erasure wins over everything, first one that takes the object too; else the greatest sequencer, then the latest time.
    """
    kept: dict[str, ImageEvent] = {}
    for event in events:
        known = kept.get(event.path)
        if known is None or _order(event) > _order(known):
            kept[event.path] = event
    return list(kept.values())


def manifests(events: Iterable[ImageEvent], max_lines: int = 1000) -> Iterator[bytes]:
    """The bodies of the manifests that carry `events`, each of at most `max_lines` events; none where there are none."""
    remaining = iter(events)
    while lines := [to_line(event) for event in islice(remaining, max_lines)]:
        yield "".join(f"{line}\n" for line in lines).encode()


def manifest_name(writer: str, when: datetime, body: bytes) -> str:
    """A name of the moment, to the microsecond, and of the content: a manifest that names the same images later is another one.

    Each is read once; what a function of AWS has to write twice under one name, it names by the events' own time.
    """
    return f"{when.astimezone(UTC):%H%M%S%f}-{writer}-{sha256(body).hexdigest()[:16]}"


def manifest_uri(root: str, when: datetime, name: str) -> str:
    """Where the manifest called `name` lies."""
    return f"{root}/events/{when.astimezone(UTC):%Y/%m/%d}/{name}.jsonl"


def _order(event: ImageEvent) -> tuple[bool, bool, str, datetime]:
    """S3 compares sequencers as text, the shorter one padded with zeros on the right: the same as without such zeros."""
    sequencer = (event.sequencer or "").lower().rstrip("0")
    time = event.event_time or datetime.min.replace(tzinfo=UTC)
    return event.event == "erase", not event.keep_object, sequencer, time


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kind(value: Any) -> Kind:
    if value not in KINDS:
        raise ValueError(f"event is {value!r}; it must be one of {', '.join(KINDS)}")
    return cast("Kind", value)


def _path(value: Any) -> str:
    if not isinstance(value, str) or not IMAGE_PATH.fullmatch(value) or not _encodable(value) or not _may_exist(value):
        raise ValueError(f"path is {value!r}; it must name one image as s3://bucket/key or file:///path")
    if value.startswith("file://") and value != (plain := f"file:///{posixpath.normpath(value[7:]).lstrip('/')}"):
        raise ValueError(f"path is {value!r}, which is {plain!r}; one image has one name")
    return value


def _may_exist(path: str) -> bool:
    """Whether a store could hold an object of that name at all; asking it for one that it cannot hold is an error of its own.

    How long a file's name may be, its file system says: 255 bytes on most, three times as many on a mount of Windows.
    """
    return len(path.split("/", 3)[3].encode()) <= LONGEST_KEY if path.startswith("s3://") else "\0" not in path


def _encodable(text: str) -> bool:
    """JSON can spell half a surrogate pair, which no object's name holds and Arrow refuses."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _etag(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isascii()):
        raise ValueError(f"etag is {value!r}; it must be plain text or null")
    return value


def _length(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_LENGTH:
        raise ValueError(f"length is {value!r}; it must be a number of bytes from 0 to {MAX_LENGTH}, or null")
    return value


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo:
            return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"event_time is {value!r}; it must be ISO 8601 with a time zone, as 2026-11-05T10:00:00.000Z, or null")


def _sequencer(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not HEXADECIMAL.fullmatch(value):
        raise ValueError(f"sequencer is {value!r}; it must be hexadecimal digits or null")
    return value
