"""A command run to its end, with the time it took and the most memory that its driver held. Linux only: it reads /proc."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK_SECONDS = 0.05


class Cost(NamedTuple):
    """The cost of a command: seconds, and the largest resident size of its Python process and of its JVM, in MB."""

    seconds: float
    python_mb: float
    jvm_mb: float
    printed: str


def cost(*command: str) -> Cost:
    """Runs a Python script of this checkout. Raises CalledProcessError where it fails."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    peaks: dict[str, float] = {}
    while process.poll() is None:  # what it prints is a few lines, which the pipe holds
        for pid in (process.pid, *_children(process.pid)):
            # The kernel keeps the peak itself, so a look now and then misses next to nothing.
            name, peak = _name_and_peak(pid)
            kind = "jvm" if name == "java" else "python" if pid == process.pid else ""
            peaks[kind] = max(peaks.get(kind, 0), peak)
        time.sleep(LOOK_SECONDS)
    assert process.stdout is not None
    printed = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed)
    return Cost(time.monotonic() - began, peaks.get("python", 0), peaks.get("jvm", 0), printed)


class Times(NamedTuple):
    """The time of a command with the processes that it started: by the clock, and of processors."""

    seconds: float
    processor_seconds: float


def times(command: Sequence[str], **environment: str) -> Times:
    """Runs a command whose output is let go. Raises CalledProcessError where it fails."""
    began = time.monotonic()
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=os.environ | environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Times(time.monotonic() - began, used.ru_utime + used.ru_stime)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # ended just now
        return []


def _name_and_peak(pid: int) -> tuple[str, float]:
    """The name of a process and its largest resident size so far in MB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "", 0
    name, peak = re.search(r"Name:\s+(\S+)", status), re.search(r"VmHWM:\s+(\d+)", status)
    return name[1] if name else "", int(peak[1]) / 1024 if peak else 0
