"""The lease of a root, which only one writer holds: Delta on S3 is safe with one writing driver, and a second would work twice.

On a local folder it is a lock of the operating system, which ends with its holder. On S3 it is a small object (`s3_lease`). It is
checked before every commit.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, LeaseLost
from fruitpipe.root import layout, writer_record
from fruitpipe.root.s3_lease import S3Lease, clock, outwaited_after
from fruitpipe.root.writer_record import LEASE_SECONDS


class Lease(Protocol):
    """The right to write, while it lasts."""

    def check(self) -> None:
        """Raises LeaseLost where another process may write by now."""


class Holder(NamedTuple):
    """Who holds a root, and since when; on S3 also in how many seconds another may take it, unless it is renewed."""

    name: str
    since: str
    free_in_seconds: float | None = None


@contextmanager
def held(root: str, lease_seconds: float = LEASE_SECONDS, clock: Callable[[], float] = clock) -> Iterator[Lease]:
    """Holds the root's lease while the block runs.

    clock: seconds of this process's own clock. Raises OtherWriter where another process holds it; on S3 it first waits a
    little more than a lease, and takes the root if that one does not renew.
    """
    with _on_s3(root, lease_seconds, clock) if objects.is_s3(root) else _on_folder(root) as lease:
        yield lease


def holder(root: str) -> Holder | None:
    """Who holds the root's lease; None where nobody does. Only reads, and uses only the store's clock. Raises AccessDenied."""
    return _holder_on_s3(root) if objects.is_s3(root) else _holder_on_folder(root)


def _holder_on_s3(root: str) -> Holder | None:
    uri = layout.place(root, layout.WRITER)
    found = objects.look(uri)
    if isinstance(found, objects.Unreadable):
        raise AccessDenied(f"{uri}: {found.message}")
    if not isinstance(found, objects.Found):
        return None
    record = writer_record.parsed(found.body)
    age = max(0.0, (objects.store_time(uri) - found.stat.modification_time).total_seconds())
    left = max(0.0, outwaited_after(record) - age)
    return None if record.released else Holder(record.holder, record.since, left)


def _holder_on_folder(root: str) -> Holder | None:
    path = _path(root)
    try:
        file = _opened(path, "rb")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            record = writer_record.parsed(file.read())
            return Holder(record.holder, record.since)
    return None


class _FolderLease:
    def __init__(self, path: Path, file: int) -> None:
        self._path, self._file = path, file

    def check(self) -> None:
        """Raises LeaseLost where the lock's file was replaced, so that another process could lock the new one."""
        if not (os.path.exists(self._path) and os.path.samestat(os.fstat(self._file), self._path.stat())):
            raise LeaseLost(f"{self._path} was removed or replaced while this stream held it; start it again")


@contextmanager
def _on_folder(root: str) -> Iterator[_FolderLease]:
    path = _path(root)
    with _opened(path, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise writer_record.refusal(root, writer_record.parsed(file.read())) from None
        file.truncate(0)
        file.write(writer_record.of_this_process().to_bytes())
        file.flush()
        yield _FolderLease(path, file.fileno())


def _opened(path: Path, mode: Literal["rb", "a+b"]) -> BinaryIO:
    """The lock's file; its folder is made where it is to be written. Raises AccessDenied for another user's."""
    try:
        if mode == "a+b":
            path.parent.mkdir(parents=True, exist_ok=True)
        return path.open(mode)
    except PermissionError as error:
        raise AccessDenied(f"{path}: {error.strerror}; grant access to it, or run as the user who made it") from error


@contextmanager
def _on_s3(root: str, seconds: float, clock: Callable[[], float]) -> Iterator[S3Lease]:
    lease = S3Lease(root, seconds, clock)
    try:
        yield lease
    finally:
        lease.release()


def _path(root: str) -> Path:
    return Path(layout.place(root, layout.WRITER).removeprefix("file://"))
