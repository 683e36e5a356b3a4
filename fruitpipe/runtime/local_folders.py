"""Where Spark keeps blocks and files while it works on a laptop: a folder of the process's own, under the cache.

Spark removes what it wrote when it ends. After a kill nobody does, in /tmp until somebody reboots, and names of images may be in
it; so the next start removes what processes left that are gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import socket
from pathlib import Path

from fruitpipe.runtime import cache

LOCK = "in-use"  # locked as long as its process lives: a number may be another process's by now


def folder() -> Path:
    """Where those of all processes lie."""
    return cache.folder() / "spark"


@functools.cache
def own() -> Path:
    """The folder of this process, made when it is first asked for. Those that processes of this machine left are removed."""
    host = socket.gethostname()
    for other in folder().glob(f"{host}-*"):
        _remove_if_left(other)
    made = cache.made("spark", f"{host}-{os.getpid()}")
    _lock(made)
    return made


def _lock(made: Path) -> int:
    """Takes the lock for as long as the process lives. Raises BlockingIOError where another process has it."""
    file = os.open(made / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise
    return file


def _remove_if_left(other: Path) -> None:
    with contextlib.suppress(OSError):  # another start removes it at the same time, or its process lives
        file = _lock(other)
        shutil.rmtree(other, ignore_errors=True)
        os.close(file)
