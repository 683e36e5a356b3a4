"""What Spark and Java write on a laptop beside the root: a working folder of each process, and logs, under the cache.

Spark and Java remove working files when they end, but not after a kill, and names of images may be in them. So the next start
removes the folders of processes that are gone, and old logs.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from fruitpipe.errors import PlatformFault
from fruitpipe.runtime import cache

JAVA = "java"  # within a working folder: Java's temporary files, and those in which workers say what they have in hand
WORKERS = "workers"  # the same of workers that are not Spark's
LOG_DAYS = 30  # that a log stays after its last line
LOCK = "in-use"  # locked as long as the process lives; its id alone may be another process's by now
STARTING = ".starting"  # beside the folders, locked while a process makes its own, which looks like one that was left until then


def folder() -> Path:
    """The parent of the folders of all processes."""
    return cache.folder() / "spark"


@functools.cache
def own() -> Path:
    """The folder of this process, made at the first call, which also removes those of processes of this machine that are gone."""
    host = socket.gethostname()
    with _one_at_a_time():
        for other in folder().glob(f"{host}-*"):
            _remove_if_left(other)
        made = cache.made("spark", f"{host}-{os.getpid()}")
        made.chmod(0o700)
        _lock(made)
    return made


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Raises PlatformFault, with what to do, where the disk does not take what the block writes below `folder`."""
    try:
        yield
    except OSError as error:
        raise PlatformFault(f"{folder()}: cannot be written ({error}); make room, or name another in FRUITPIPE_CACHE") from error


def settings(working: Path) -> dict[str, str]:
    """Spark's settings with which it and Hadoop write nothing outside of a working folder, Java's temporary files aside."""
    return {
        "spark.io.compression.codec": "lz4",  # Spark's default, which an erasure unpacks to search what is here
        "spark.local.dir": str(working),
        "spark.sql.warehouse.dir": str(working / "warehouse"),  # an empty folder, else in the current one
        "spark.hadoop.hadoop.tmp.dir": str(working / "hadoop"),  # where S3A keeps parts of files that it uploads
    }


def java_options(working: Path, logs: Path) -> tuple[str, ...]:
    """Java's options for its temporary files, and for what it writes when it crashes."""
    (working / JAVA).mkdir(exist_ok=True)
    return f"-Djava.io.tmpdir={working / JAVA}", f"-XX:ErrorFile={logs}/hs_err_%p.log"


def logs() -> Path:
    """The folder of logs. Removes those of which the last line is older than LOG_DAYS."""
    made = cache.made("logs")
    for log in made.iterdir():
        with contextlib.suppress(OSError):  # another start removes it at the same time
            if time.time() - log.stat().st_mtime > LOG_DAYS * 86400:
                log.unlink()
    return made


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Waits for another start to end, and keeps others waiting."""
    file = os.open(cache.made("spark") / STARTING, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


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
