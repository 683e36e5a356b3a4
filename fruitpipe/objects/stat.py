"""What a look at an object can find, the same for every store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says of an object without giving its bytes."""

    path: str
    etag: str
    length: int
    modification_time: datetime


def etag(content: str, version: str | None) -> str:
    """S3's etag without its quotes, followed by ``@`` and the version id in a versioned bucket."""
    return content.strip('"') + (f"@{version}" if version and version != "null" else "")


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


Look = Found | Unchanged | Gone | TooLarge | Unreadable
