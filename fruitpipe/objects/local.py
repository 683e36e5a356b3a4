"""Files as objects. The etag is made of size, mtime and ctime in nanoseconds: no overwrite keeps all three."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from fruitpipe.errors import AccessDenied, Conflict, NotFound, PlatformFault
from fruitpipe.objects.stat import Found, Gone, Look, Stat, TooLarge, Unchanged, Unreadable
from fruitpipe.output import say


def look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    try:
        with _path(uri).open("rb") as file:
            stat = _stat(uri, os.fstat(file.fileno()))
            if stat.etag == known_etag:
                return Unchanged()
            if max_bytes is not None and stat.length > max_bytes:
                return TooLarge(stat)
            return Found(stat, file.read())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Gone()
    except PermissionError as error:
        return Unreadable(str(error.strerror))
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            return Gone()
        raise PlatformFault(f"{uri}: {error.strerror}; check the disk or the mount and start again") from error


def list_all(uri: str) -> Iterator[Stat]:
    top = _path(uri)
    if top.is_file():
        yield _stat(uri, top.stat())
    for folder, names in _walk(top):
        for name in names:
            path = Path(folder, name)
            if stat := _listed(path):
                yield stat


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
    with _explained(uri):
        _path(uri).unlink(missing_ok=True)


def delete_all(uri: str) -> int:
    stats = list(list_all(uri))
    for stat in stats:
        delete(stat.path)
    for folder, _, _ in os.walk(_path(uri), topdown=False):
        with suppress(OSError):  # another run wrote into it meanwhile, or removed it: what was listed is gone
            Path(folder).rmdir()
    return len(stats)


def has_versions(uri: str) -> bool:
    return _path(uri).is_file()


def erase(uri: str) -> int:
    there = _path(uri).is_file()
    delete(uri)
    with _explained(uri):  # Hadoop would read the next file of that name against this one's checksum
        _path(uri).with_name(f".{_path(uri).name}.crc").unlink(missing_ok=True)
    return int(there)


def purge(uri: str) -> int:  # noqa: ARG001 - a file system keeps no versions
    return 0


def _listed(path: Path) -> Stat | None:
    """Nothing for what was removed since its folder was read, a link to nowhere or to itself, and a name that is no UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        _say_passed_over(os.fsencode(path))
        return None
    try:
        with _explained(f"file://{path}"):
            return _stat(f"file://{path}", path.stat())
    except NotFound:
        return None


@cache  # a stream lists its prefix again and again
def _say_passed_over(path: bytes) -> None:
    say(f"{path!r}: its name is not UTF-8 and it is passed over; rename it", to=sys.stderr)


def _walk(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder below and its files; linked folders too, but each folder once, under its own name if it lies below `top`."""
    visited, tops = set(), deque([str(top)])
    while tops:
        for folder, folders, names in os.walk(tops.popleft(), onerror=_refuse, followlinks=True):
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


def _refuse(error: OSError) -> None:
    """What os.walk does with a folder that it cannot list; one that is gone since it was named is empty."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
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
        if error.errno == errno.ELOOP:
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
