"""The archive of Java classes (CDS) from which a laptop's sessions start, so that each need not load and verify 20,000 of them.

`make` records it once, with record_classes.py. It lies in the virtual environment whose jars it belongs to. Java ignores it where
these, or Java itself, have changed (JEP 350, "Dynamic CDS archives").
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

RECORD = "FRUITPIPE_RECORD_CLASSES"  # in the environment: the file in which Java records its classes
# Java's messages about an archive do not concern the user: without one a session only starts more slowly.
SILENT = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")


def path() -> Path:
    """The path of this virtual environment's archive, which may not exist."""
    return Path(sys.prefix, "java-classes.jsa")


def options() -> list[str]:
    """Java's options that record an archive, or use the one that is there; none without one."""
    if record := os.environ.get(RECORD):
        return [f"-XX:ArchiveClassesAtExit={record}", *SILENT]
    return [f"-XX:SharedArchiveFile={path()}", *SILENT] if path().exists() else []
