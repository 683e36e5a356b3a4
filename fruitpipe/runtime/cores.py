"""How many cores this process may use, as Java reckons it: by its affinity, and by the quota of its control groups.

In a container of two cores on a machine of 64 the system still counts 64, and a process for each would share the time of two.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

GROUPS = Path("/proc/self/cgroup")  # the process's groups, a line each: number, controllers (none in version 2), path
MOUNT = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """The cores that this process may use, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota())))


def quota(groups: Path = GROUPS, mount: Path = MOUNT) -> float:
    """The cores' worth of time that control groups grant: the least of the process's own and all above; infinite if none says."""
    lines = groups.read_text().splitlines() if groups.exists() else []
    of_cpu = [group for group in (line.split(":", 2)[1:] for line in lines) if group[0] == "" or "cpu" in group[0].split(",")]
    tops = [(mount / ("cpu" if controllers else ""), path.strip("/")) for controllers, path in of_cpu]
    # In a container the path may be the host's, which is not there, and the container's own group is at the top.
    folders = [folder for top, path in tops for folder in (top / path, *(top / path).parents) if folder.is_relative_to(top)]
    return min((_granted(folder) for folder in folders), default=math.inf)


def _granted(folder: Path) -> float:
    """Of one control group, of version 2 or 1."""
    if (both := folder / "cpu.max").exists():
        granted, period = both.read_text().split()
    elif (older := folder / "cpu.cfs_quota_us").exists():
        granted, period = older.read_text(), (folder / "cpu.cfs_period_us").read_text()
    else:
        return math.inf
    return math.inf if granted.strip() in ("max", "-1") else int(granted) / int(period)
