"""Spark's local directory on a laptop (`spark.local.dir`): a folder of each process, under the cache.

Spark removes what it wrote when it ends, but not after a kill, and names of images may be in it. So the next start removes the
folders of processes that are gone.
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

LOCK = "in-use"  # locked as long as the process lives; its id alone may be another process's by now


def folder() -> Path:
    """The parent of the folders of all processes."""
    return cache.folder() / "spark"


@functools.cache
def own() -> Path:
    """The folder of this process, made at the first call, which also removes those of processes of this machine that are gone."""
    host = socket.gethostname()
    for other in folder().glob(f"{host}-*"):
        _remove_if_left(other)
    made = cache.made("spark", f"{host}-{os.getpid()}")
    _lock(made)
    return made


def _lock(made: Path) -> int:
    """Locks the folder for as long as the process lives. Raises BlockingIOError where another process has the lock."""
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
