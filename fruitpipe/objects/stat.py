"""What a look at an object can find, the same for every store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says of an object without giving its bytes.

    is_archived: as a listing tells it, whether its bytes have to be restored before anybody can read them; None where only a look
    tells.
    """

    path: str
    etag: str
    length: int
    modification_time: datetime
    is_archived: bool | None = False


def etag(content: str, version: str | None) -> str:
    """S3's etag without its quotes, followed by ``@`` and the version id in a versioned bucket."""
    return content.strip('"') + (f"@{version}" if version and version != "null" else "")


class Link(NamedTuple):
    """Bytes that have other names. target: the URI that a symbolic link leads to, if it is one. file: the inode. names: how many
    names the file has.
    """

    target: str | None
    file: str
    names: int


class Upload(NamedTuple):
    """An upload in parts that was begun and neither completed nor aborted; no listing of objects shows what it holds."""

    path: str
    id: str
    begun: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """An object and its bytes, read together."""

    stat: Stat
    body: bytes


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The object still has the etag that the caller knows."""


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The object has more bytes than the caller wants; they were not read."""

    stat: Stat


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The store will not give this one object, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Withheld(Unreadable):
    """The object is there, in a state of its own in which nobody is given its bytes, and no permission is to blame.

    reason: ``archived``, or ``no-key`` where its KMS key is disabled or gone. stat: where the store tells it all the same.
    """

    reason: str
    stat: Stat | None = None


Look = Found | Unchanged | Gone | TooLarge | Unreadable
