"""Processes that tests kill, and those that these have started. Linux's /proc."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

DEADLINE_SECONDS = 300


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started, directly or not."""
    yield pid
    try:
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield from tree(int(child))


def kill(pid: int) -> None:
    """Signal 9; nothing where it has ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def running(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether it has a handler of its own for a signal."""
    try:
        caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(int(caught, 16) >> (number - 1) & 1)


def command(pid: int) -> str:
    """Its command line; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_end(pids: Iterable[int]) -> None:
    """Returns when none of them runs."""
    remaining, deadline = list(pids), time.monotonic() + DEADLINE_SECONDS
    while remaining := [pid for pid in remaining if running(pid)]:
        assert time.monotonic() < deadline, f"processes {remaining} did not end in {DEADLINE_SECONDS} s"
        time.sleep(0.05)
