"""The archive of Java classes (CDS) from which a laptop's sessions start, so that each need not load and verify 20,000 of them.

`make` records it once, with record_classes.py. It lies in the virtual environment whose jars it belongs to. Java ignores one of
other jars or of another Java without a word (JEP 350, "Dynamic CDS archives"), so its name follows from their versions.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fruitpipe.runtime import java

NAME = "java-classes"
PART = f"{NAME}-part-"  # what the name of a folder begins with in which one is recorded
RECORD = "FRUITPIPE_RECORD_CLASSES"  # in the environment: the file in which Java records its classes
# Java's messages about an archive do not concern the user: without one a session only starts more slowly.
SILENT = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")


@functools.cache
def path() -> Path:
    """The path of the archive for this environment's Spark, Delta and Java, which may not exist."""
    versions = [*(importlib.metadata.version(package) for package in ("pyspark", "delta-spark")), java.release()]
    return Path(sys.prefix, f"{NAME}-{hashlib.sha256(repr(versions).encode()).hexdigest()[:8]}.jsa")


@contextlib.contextmanager
def made() -> Iterator[Path]:
    """A folder to record in, of which an archive at `path()` stays. One process at a time has it: another is waited for.

    What no session uses any more is removed first: archives of other versions, and folders of recordings that were killed.
    """
    with Path(sys.prefix, f"{NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for archive in Path(sys.prefix).glob(f"{NAME}*.jsa"):
            if archive != path():
                archive.unlink()
        for killed in Path(sys.prefix).glob(f"{PART}*"):
            shutil.rmtree(killed, ignore_errors=True)  # its Java may still write there, and is past in seconds
        with tempfile.TemporaryDirectory(dir=sys.prefix, prefix=PART) as folder:
            yield Path(folder)


def options() -> list[str]:
    """Java's options that record an archive, or use the one that is there; none without one."""
    if record := os.environ.get(RECORD):
        return [f"-XX:ArchiveClassesAtExit={record}", *SILENT]
    return [f"-XX:SharedArchiveFile={path()}", *SILENT] if path().exists() else []
