"""Lists the files below a local folder, linked folders included. Files that cannot be images are skipped, with a line each."""

from __future__ import annotations

import errno
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from fruitpipe.objects.local_files import explained, holds_file, is_file, is_gone, may_be_of_one_file, path_of, stat_of
from fruitpipe.objects.stat import Stat
from fruitpipe.output import say


def list_all(uri: str, on_denied: Callable[[str], None] | None = None, listers: int = 1) -> Iterator[Stat]:  # noqa: ARG001 - S3's
    top = path_of(uri)
    with explained(uri):
        at_top = stat_of(uri, top.stat()) if holds_file(top) else None
    if at_top:
        yield at_top
    for folder, names in _walk(top, on_denied):
        yield from _in_folder(folder, names, on_denied)


def _in_folder(folder: str, names: list[str], on_denied: Callable[[str], None] | None) -> Iterator[Stat]:
    for path in (Path(folder, name) for name in names):
        try:
            stat = _listed(path)
        except OSError as error:
            if not on_denied or not may_be_of_one_file(error):
                with explained(f"file://{path}"):
                    raise
            if _is_shut_around(path):
                on_denied(f"file://{folder}")
                return
            on_denied(f"file://{path}")  # a link, of a file or of a folder, to where nobody may look; or it is broken
        else:
            if stat:
                yield stat


def _listed(path: Path) -> Stat | None:
    """The file's stat. None for what can be no image (`_why_not`), for a file that was removed since, and for a broken link."""
    try:
        status = path.stat()
    except OSError as error:
        if is_gone(error):
            return None
        raise
    if reason := _why_not(path, status):
        _say_skipped(os.fsencode(path), reason)
        return None
    return stat_of(f"file://{path}", status)


def _is_shut_around(path: Path) -> bool:
    """Whether the folder of a file is one whose names may be read, and nothing else."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def _why_not(path: Path, status: os.stat_result) -> str | None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8 and it is skipped; rename it"
    return None if is_file(status) else "it is a pipe, a socket or a device, and is skipped"


@cache  # a stream lists its prefix again and again
def _say_skipped(path: bytes, reason: str) -> None:
    say(f"{path!r}: {reason}", to=sys.stderr)


def _walk(top: Path, on_denied: Callable[[str], None] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Each folder below and its files; linked folders too, but each folder once, under its own name if it lies below `top`."""
    visited, tops = set(), deque([str(top)])
    refuse = partial(_refuse, top, on_denied)
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


def _refuse(top: Path, on_denied: Callable[[str], None] | None, error: OSError) -> None:
    """Handles the error of os.walk for a folder that it cannot list; one that is gone meanwhile counts as empty."""
    if error.errno == errno.ENAMETOOLONG:
        _say_skipped(os.fsencode(error.filename), "its whole name is too long to be opened, and it is skipped")
    elif on_denied and not is_gone(error) and may_be_of_one_file(error) and error.filename != str(top):
        on_denied(f"file://{error.filename}")
    elif not isinstance(error, FileNotFoundError | NotADirectoryError):
        with explained(f"file://{error.filename}"):
            raise error
