"""Files as objects. The etag is made of size, mtime and ctime in nanoseconds: no overwrite keeps all three."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat as stat_module
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO

from fruitpipe.errors import AccessDenied, Conflict, NotFound, PlatformFault
from fruitpipe.objects.stat import Found, Gone, Link, Look, Stat, TooLarge, Unchanged, Unreadable, Upload
from fruitpipe.output import say

NO_FILE = {errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}  # a link to itself, a name that none can have, a socket


def look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    try:
        if not _is_file(_path(uri).stat()):  # before it is opened, which may wait, or set a device to work
            return Gone()
        with open(uri.removeprefix("file://"), "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            return _read(uri, file, status, known_etag, max_bytes) if _is_file(status) else Gone()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Gone()
    except PermissionError as error:
        return Unreadable(str(error.strerror))
    except OSError as error:
        if error.errno in NO_FILE:
            return Gone()
        raise PlatformFault(f"{uri}: {error.strerror}; check the disk or the mount and start again") from error


def _read(uri: str, file: BinaryIO, status: os.stat_result, known_etag: str | None, max_bytes: int | None) -> Look:
    stat = _stat(uri, status)
    if stat.etag == known_etag:
        return Unchanged()
    if max_bytes is not None and stat.length > max_bytes:
        return TooLarge(stat)
    body = file.read(-1 if max_bytes is None else max_bytes + 1)
    if max_bytes is not None and len(body) > max_bytes:  # it has grown since
        return TooLarge(_stat(uri, os.fstat(file.fileno())))
    return Found(stat, body)


def list_all(uri: str, shut: Callable[[str], None] | None = None) -> Iterator[Stat]:
    top = _path(uri)
    if top.is_file():
        yield _stat(uri, top.stat())
    for folder, names in _walk(top, shut):
        for name in names:
            try:
                stat = _listed(Path(folder, name))
            except AccessDenied:  # a folder whose names may be read, and nothing else
                if not shut:
                    raise
                shut(f"file://{folder}")
                break
            if stat:
                yield stat


def device(uri: str) -> int | None:
    with _explained(uri):
        return _path(uri).stat().st_dev if _path(uri).exists() else None


def children(uri: str) -> list[str]:
    with _explained(uri):
        top = _path(uri)
        return [entry.name + "/" * entry.is_dir() for entry in os.scandir(top)] if top.exists() else []


def write(uri: str, body: bytes, if_absent: bool, if_etag: str | None) -> str:
    path = _path(uri)
    with _explained(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path) if if_absent or if_etag else nullcontext():
            _check_condition(uri, path, if_absent, if_etag)
            _replace(path, body)
        return _stat(uri, path.stat()).etag


def add(uri: str, body: bytes) -> None:
    path = _path(uri)
    with _explained(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, body)


def copy(uri: str, to: str) -> None:
    with _explained(to):
        _path(to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_path(uri), _path(to))


def delete(uri: str) -> None:
    path = _path(uri)
    with _explained(uri):
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
    for folder, _, _ in os.walk(_path(uri), topdown=False):
        with suppress(OSError):  # another run wrote into it meanwhile, or removed it: what was listed is gone
            Path(folder).rmdir()
    return len(stats)


def has_versions(uri: str) -> bool:
    return os.path.isfile(_path(uri))


def erase(uri: str) -> int:
    there = has_versions(uri)
    delete(uri)
    folder, _, name = uri.rpartition("/")
    delete(f"{folder}/.{name}.crc")  # Hadoop would read the next file of that name against this one's checksum
    return int(there)


def link(uri: str) -> Link | None:
    path = _path(uri)
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


def _listed(path: Path) -> Stat | None:
    """Nothing for what is no image for anybody: see `_why_not`; what was removed since, and a link to nowhere or to itself."""
    try:
        with _explained(f"file://{path}"):
            status = path.stat()
    except NotFound:
        return None
    if reason := _why_not(path, status):
        _say_passed_over(os.fsencode(path), reason)
        return None
    return _stat(f"file://{path}", status)


def _why_not(path: Path, status: os.stat_result) -> str | None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8 and it is passed over; rename it"
    return None if _is_file(status) else "it is a pipe, a socket or a device, and is passed over"


def _is_file(status: os.stat_result) -> bool:
    return stat_module.S_ISREG(status.st_mode)


def _open(path: str, flags: int) -> int:
    """Never waits: what was a file a moment ago may be a pipe now."""
    return os.open(path, flags | os.O_NONBLOCK)


@cache  # a stream lists its prefix again and again
def _say_passed_over(path: bytes, reason: str) -> None:
    say(f"{path!r}: {reason}", to=sys.stderr)


def _walk(top: Path, shut: Callable[[str], None] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Each folder below and its files; linked folders too, but each folder once, under its own name if it lies below `top`."""
    visited, tops = set(), deque([str(top)])
    refuse = partial(_refuse, top, shut)
    while tops:
        for folder, folders, names in os.walk(tops.popleft(), onerror=refuse, followlinks=True):
            real = os.path.realpath(folder)
            if real in visited:
                folders.clear()
                continue
            visited.add(real)
            tops += [os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name))]
            folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
            yield folder, names


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _stat(uri: str, status: os.stat_result) -> Stat:
    etag = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return Stat(uri, etag, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _refuse(top: Path, shut: Callable[[str], None] | None, error: OSError) -> None:
    """What os.walk does with a folder that it cannot list; one that is gone since it was named is empty."""
    if error.errno == errno.ENAMETOOLONG:
        _say_passed_over(os.fsencode(error.filename), "its whole name is too long to be opened, and it is passed over")
    elif shut and isinstance(error, PermissionError) and error.filename != str(top):
        shut(f"file://{error.filename}")
    elif not isinstance(error, FileNotFoundError | NotADirectoryError):
        with _explained(f"file://{error.filename}"):
            raise error


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """The one place where the operating system's errors become ours."""
    try:
        yield
    except PermissionError as error:
        raise AccessDenied(f"{uri}: {error.strerror}; grant access or give another URI") from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"{uri}: {error.strerror}: {error.filename}; give another URI") from error
    except OSError as error:
        if error.errno in NO_FILE:
            raise NotFound(f"{uri}: {error.strerror}; give another URI") from error
        raise PlatformFault(f"{uri}: {error.strerror}; mend the disk or the mount and start again") from error


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
    if if_absent and path.exists():
        raise Conflict(f"{uri}: is there already; somebody else wrote it first")
    if if_etag and (not path.exists() or _stat(uri, path.stat()).etag != if_etag):
        raise Conflict(f"{uri}: was changed by somebody else since it was read")


def _replace(path: Path, body: bytes) -> None:
    """A reader sees the old bytes or the new ones, whatever happens in between."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # not tempfile's: only its owner could read that
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
