"""Files as objects. The etag is made of size, mtime and ctime in nanoseconds: no overwrite keeps all three."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from fruitpipe.errors import Conflict, PlatformFault
from fruitpipe.objects.local_drive import check_drive, takes_links
from fruitpipe.objects.local_files import (
    NO_FILE,
    explained,
    holds_file,
    is_file,
    is_gone,
    may_be_of_one_file,
    path_of,
    stat_of,
    status_at,
)
from fruitpipe.objects.local_listing import list_all
from fruitpipe.objects.stat import Found, Gone, Link, Look, TooLarge, Unchanged, Unreadable, Upload

__all__ = [
    "abort",
    "add",
    "check_drive",
    "children",
    "copy",
    "delete",
    "delete_all",
    "device",
    "erase",
    "has_versions",
    "link",
    "list_all",
    "look",
    "purge",
    "read_piece",
    "takes_links",
    "uploads",
    "write",
    "write_for_browsers",
]


def look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    try:
        if not is_file(path_of(uri).stat()):  # before it is opened, which may wait, or set a device to work
            return Gone()
        with open(uri.removeprefix("file://"), "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            return _read(uri, file, status, known_etag, max_bytes) if is_file(status) else Gone()
    except OSError as error:
        if is_gone(error):
            return Gone()
        if may_be_of_one_file(error):
            return Unreadable(str(error.strerror))
        raise PlatformFault(f"{uri}: {error.strerror}; check the disk or the mount and start again") from error


def _read(uri: str, file: BinaryIO, status: os.stat_result, known_etag: str | None, max_bytes: int | None) -> Look:
    stat = stat_of(uri, status)
    if stat.etag == known_etag:
        return Unchanged()
    if max_bytes is not None and stat.length > max_bytes:
        return TooLarge(stat)
    body = file.read(-1 if max_bytes is None else max_bytes + 1)
    if max_bytes is not None and len(body) > max_bytes:  # it has grown since
        return TooLarge(stat_of(uri, os.fstat(file.fileno())))
    return Found(stat, body)


def read_piece(uri: str, start: int, count: int) -> bytes:
    with explained(uri), open(path_of(uri), "rb") as file:
        file.seek(start)
        return file.read(count)


def device(uri: str) -> int | None:
    with explained(uri):
        status = status_at(path_of(uri))
        return status.st_dev if status else None


def children(uri: str) -> list[str]:
    with explained(uri):
        top = path_of(uri)
        return [entry.name + "/" * entry.is_dir() for entry in os.scandir(top)] if status_at(top) else []


def write(uri: str, body: bytes, if_absent: bool, if_etag: str | None) -> str:
    path = path_of(uri)
    with explained(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path) if if_absent or if_etag else nullcontext():
            _check_condition(uri, path, if_absent, if_etag)
            _replace(path, body)
        return stat_of(uri, path.stat()).etag


def write_for_browsers(uri: str, body: bytes, lasts: bool) -> None:  # noqa: ARG001 - a file's server says it
    write(uri, body, if_absent=False, if_etag=None)


def add(uri: str, body: bytes) -> None:
    path = path_of(uri)
    with explained(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, body)


def copy(uri: str, to: str) -> None:
    with explained(to):
        path_of(to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path_of(uri), path_of(to))


def delete(uri: str) -> None:
    path = path_of(uri)
    with explained(uri):
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:  # what was its folder is a file now
            return
        except OSError as error:  # where a folder has that name, or nothing can have it, there is no such object
            if error.errno not in NO_FILE and not os.path.isdir(path):
                raise


def delete_all(uri: str) -> int:
    stats = list(list_all(uri))
    for stat in stats:
        delete(stat.path)
    for folder, _, _ in os.walk(path_of(uri), topdown=False):
        with suppress(OSError):  # another run wrote into it meanwhile, or removed it: what was listed is gone
            Path(folder).rmdir()
    return len(stats)


def has_versions(uri: str) -> bool:
    with explained(uri):
        return holds_file(path_of(uri))


def erase(uri: str) -> int:
    there = has_versions(uri)
    delete(uri)
    folder, _, name = uri.rpartition("/")
    delete(f"{folder}/.{name}.crc")  # Hadoop would read the next file of that name against this one's checksum
    return int(there)


def link(uri: str) -> Link | None:
    path = path_of(uri)
    with suppress(OSError):
        status = path.stat()
        if path.is_symlink():
            return Link(f"file://{path.resolve()}", f"{status.st_ino}", 1)
        if status.st_nlink > 1:
            return Link(None, f"{status.st_ino}", status.st_nlink)
    return None


def uploads(uri: str) -> Iterator[Upload]:  # noqa: ARG001 - a file is written in one go
    return iter(())


def abort(upload: Upload) -> None:
    raise NotImplementedError(f"{upload.path}: no file is uploaded in parts")


def purge(uri: str) -> int:  # noqa: ARG001 - a file system keeps no versions
    return 0


def _open(path: str, flags: int) -> int:
    """Never waits: what was a file a moment ago may be a pipe now."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time; what a writer that was killed had begun is removed. All names that this leaves are hidden ones."""
    lock = path.with_name(f".{path.name}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for begun in os.listdir(path.parent):
            if begun.startswith(f".{path.name}.") and begun != lock.name:
                path.with_name(begun).unlink(missing_ok=True)
        yield


def _check_condition(uri: str, path: Path, if_absent: bool, if_etag: str | None) -> None:
    status = status_at(path)
    if if_absent and status:
        raise Conflict(f"{uri}: is there already; somebody else wrote it first")
    if if_etag and not (status and stat_of(uri, status).etag == if_etag):
        raise Conflict(f"{uri}: was changed by somebody else since it was read")


def _replace(path: Path, body: bytes) -> None:
    """A reader sees the old bytes or the new ones, whatever happens in between."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # `UNFINISHED`; only its owner could read one of tempfile's
    try:
        _write(temporary, body)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(path: Path, body: bytes) -> None:
    """Returns when the disk has it."""
    with path.open("xb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
