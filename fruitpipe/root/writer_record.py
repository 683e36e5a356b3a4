"""The record of the root's writer, `<root>/writer.json`: who writes it, since when, and for how long the record is valid."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from fruitpipe.errors import OtherWriter

LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class Record:
    """One record of a holder.

    token: an id of the holder alone, as two processes in containers may have one name. lease_seconds: how long the record is
    valid after it was written. released: whether the holder has released the root. expires_at: by the holder's own clock; for
    people, and for writers of earlier versions, which use it.
    """

    holder: str = "another process"
    since: str = "an unknown time"
    token: str = ""
    lease_seconds: float = LEASE_SECONDS
    released: bool = False
    expires_at: str = ""

    def __str__(self) -> str:
        return f"{self.holder} since {self.since}"

    def written_now(self, *, released: bool = False) -> Record:
        """The same holder's record as of now."""
        expires = datetime.now(UTC) + timedelta(seconds=0 if released else self.lease_seconds)
        return replace(self, released=released, expires_at=expires.isoformat())

    def to_bytes(self) -> bytes:
        """The record as it is stored; `parsed` reads it."""
        return json.dumps(asdict(self)).encode()


def of_this_process(token: str = "", lease_seconds: float = LEASE_SECONDS) -> Record:
    """The record that this process writes when it takes the root."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(f"{socket.gethostname()}, process {os.getpid()}", now, token, lease_seconds)


def parsed(body: bytes) -> Record:
    """Parses a record; returns one without names where `body` is none, as while a holder is writing it."""
    try:
        fields = json.loads(body)
    except ValueError:
        return Record()
    if not isinstance(fields, dict):
        return Record()
    defaults = asdict(Record())
    return Record(**{name: fields[name] for name, default in defaults.items() if _is_like(fields.get(name), default)})


def refusal(root: str, found: Record) -> OtherWriter:
    """The error that a second writer gets."""
    return OtherWriter(f"{root} is being written by {found}; stop that stream first, or let it do the work")


def _is_like(value: object, default: object) -> bool:
    return isinstance(value, int | float if isinstance(default, float) else type(default))
