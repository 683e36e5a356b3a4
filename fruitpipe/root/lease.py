"""One writer a root: Delta on S3 is safe with one writing driver and no more, and a second stream would do the work twice.

On a local folder the operating system's lock says who writes; it goes with its holder. On S3 a small object does, written
conditionally and renewed; a holder that died frees it by not renewing. It is checked before every commit.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from fruitpipe import objects
from fruitpipe.errors import Conflict, FruitpipeError, LeaseLost, NotFound, OtherWriter
from fruitpipe.root import layout

LEASE_SECONDS = 60.0
RENEWALS = 4  # within one lease: three may fail before it is lost
MARGIN_SECONDS = 5.0  # a commit that begins with less than this left might end after the lease


class Lease(Protocol):
    """The right to write, while it lasts."""

    def check(self) -> None:
        """Raises LeaseLost where somebody else may write by now."""


@contextmanager
def held(root: str, lease_seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
    """Holds the root's lease for the length of the block. Raises OtherWriter at once where it is taken."""
    with _on_s3(root, lease_seconds) if objects.is_s3(root) else _on_folder(root) as lease:
        yield lease


def holder(root: str) -> dict[str, str] | None:
    """Who holds the root's lease, and since when; None where nobody does. Takes nothing from anybody."""
    uri = layout.place(root, layout.WRITER)
    if objects.is_s3(root):
        try:
            record = _parsed(objects.read(uri).decode())
        except NotFound:
            return None
        expires = datetime.fromisoformat(record.get("expires_at", "1970-01-01T00:00:00+00:00"))
        return record if expires > datetime.now(UTC) else None
    path = Path(uri.removeprefix("file://"))
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _parsed(file.read())
    return None


def _me() -> dict[str, str]:
    return {"holder": f"{socket.gethostname()}, process {os.getpid()}", "since": datetime.now(UTC).isoformat(timespec="seconds")}


def _refusal(root: str, record: dict[str, str]) -> OtherWriter:
    holder, since = record.get("holder", "another process"), record.get("since", "an unknown time")
    return OtherWriter(f"{root} is being written by {holder} since {since}; stop that stream first, or let it do the work")


class _FolderLease:
    def __init__(self, path: Path, file: int) -> None:
        self._path, self._file = path, file

    def check(self) -> None:
        """The lock holds as long as the file is the one that others would lock."""
        if not (self._path.exists() and os.path.samestat(os.fstat(self._file), self._path.stat())):
            raise LeaseLost(f"{self._path} was removed or replaced while this stream held it; start it again")


@contextmanager
def _on_folder(root: str) -> Iterator[_FolderLease]:
    path = Path(layout.place(root, layout.WRITER).removeprefix("file://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _refusal(root, _parsed(file.read())) from None
        file.truncate(0)
        file.write(json.dumps(_me()))
        file.flush()
        yield _FolderLease(path, file.fileno())


class _S3Lease:
    """Renewed by a thread. Time is the monotonic clock's, counted from before each request: a pause costs the lease, not data."""

    def __init__(self, root: str, seconds: float) -> None:
        self._root, self._uri, self._seconds = root, layout.place(root, layout.WRITER), seconds
        # Two processes may have one name, as in containers; the token tells this one's record from all others.
        self._me, self._done = _me() | {"token": uuid.uuid4().hex}, threading.Event()
        self._lost = False
        self._take()
        self._thread = threading.Thread(target=self._renew_until_done, daemon=True, name="fruitpipe-lease")
        self._thread.start()

    def check(self) -> None:
        if self._lost or time.monotonic() > self._valid_until - MARGIN_SECONDS:
            raise LeaseLost(f"{self._uri}: the lease was lost or not renewed; nothing more is written. Start the stream again")

    def release(self) -> None:
        self._done.set()
        self._thread.join()
        if not self._lost:
            with suppress(FruitpipeError):  # a store that is out of reach now frees the root when the lease ends
                self._write(0, if_etag=self._etag)

    def _take(self) -> None:
        try:
            body, etag = objects.read_with_etag(self._uri)
        except NotFound:
            self._take_with(if_absent=True)
            return
        record = _parsed(body.decode())
        if datetime.fromisoformat(record.get("expires_at", "1970-01-01T00:00:00+00:00")) > datetime.now(UTC):
            raise _refusal(self._root, record)
        self._take_with(if_etag=etag)

    def _take_with(self, **condition: Any) -> None:
        try:
            self._write(self._seconds, **condition)
        except Conflict:
            raise _refusal(self._root, _parsed(objects.read(self._uri).decode())) from None

    def _write(self, seconds: float, **condition: Any) -> None:
        valid_until = time.monotonic() + seconds
        record = self._me | {"expires_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}
        try:
            self._etag = objects.write(self._uri, json.dumps(record).encode(), **condition)
        except Conflict:
            self._etag = self._written_after_all(record)
        self._valid_until = valid_until

    def _written_after_all(self, record: dict[str, str]) -> str:
        """A write whose answer was lost is repeated by boto3, and then loses against itself; so does the renewal after it.

        Raises Conflict for somebody else's record.
        """
        body, etag = objects.read_with_etag(self._uri)
        there = _parsed(body.decode())
        if there == record:
            return etag
        if there.get("token") != record["token"]:
            raise Conflict(f"{self._uri}: was written by somebody else first")
        return objects.write(self._uri, json.dumps(record).encode(), if_etag=etag)

    def _renew_until_done(self) -> None:
        while not self._done.wait(self._seconds / RENEWALS):
            try:
                self._write(self._seconds, if_etag=self._etag)
            except Conflict:
                self._lost = True
                return
            except FruitpipeError:  # the store is out of reach: the next renewal may succeed before the lease ends
                continue


@contextmanager
def _on_s3(root: str, seconds: float) -> Iterator[_S3Lease]:
    lease = _S3Lease(root, seconds)
    try:
        yield lease
    finally:
        lease.release()


def _parsed(text: str) -> dict[str, str]:
    try:
        record = json.loads(text)
    except ValueError:  # half-written by a holder that is just taking it
        return {}
    return record if isinstance(record, dict) else {}
