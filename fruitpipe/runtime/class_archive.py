"""The archive of Java classes that a laptop's sessions start from, so that not each has to load and check 20,000 of them again.

`make` records it once, with record_classes.py. It lies in the virtual environment, whose jars it belongs to, and Java leaves it
aside where those, or Java itself, have changed (JEP 350, "Dynamic CDS archives").
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

RECORD = "FRUITPIPE_RECORD_CLASSES"  # in the environment: the file in which Java records its classes
# Whatever Java has to say of an archive is no concern of the user: without one all goes on, more slowly.
SILENT = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Xlog:class+path=off")


def path() -> Path:
    """Where this virtual environment's archive lies, or would."""
    return Path(sys.prefix, "java-classes.jsa")


def options() -> list[str]:
    """What Java is told of an archive at the start of a session."""
    if record := os.environ.get(RECORD):
        return [f"-XX:ArchiveClassesAtExit={record}", *SILENT]
    return [f"-XX:SharedArchiveFile={path()}", *SILENT] if path().exists() else []
