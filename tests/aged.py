"""A root as it would be if some days had passed since all that was done to it: the times of its files and of the table's log."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

TIMES = {"add": "modificationTime", "remove": "deletionTimestamp", "commitInfo": "timestamp"}  # in milliseconds


def aged(root: str, hours: float) -> str:
    """A copy of the local `root` beside it, older by so many hours: Delta keeps in memory what it has read of the log."""
    old = Path(root.removeprefix("file://"))
    new = Path(shutil.copytree(old, old.with_name(f"{old.name}-older")))
    for path in [path for path in new.rglob("*") if path.is_file()]:
        if path.suffix == ".crc":  # sums over what is changed here
            path.unlink()
            continue
        modified = path.stat().st_mtime
        if path.parent.name == "_delta_log" and path.suffix == ".json":
            path.write_text("".join(_earlier(line, hours) for line in path.read_text().splitlines()))
        os.utime(path, times=(modified - 3600 * hours,) * 2)
    return f"file://{new}"


def _earlier(line: str, hours: float) -> str:
    ((kind, action),) = json.loads(line).items()
    if TIMES.get(kind) in action:
        action[TIMES[kind]] -= round(3_600_000 * hours)
    return json.dumps({kind: action}) + "\n"
