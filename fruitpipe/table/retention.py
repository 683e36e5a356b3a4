"""How long the table remembers: its log, and in it the names of files that it no longer needs.

A refit reads what changed by the commits since the one before and by the files that those name. So both last as long as the
files themselves, `--vacuum-hours`, and a week at least.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

WEEK_HOURS = 168
HOURS = {"hour": 1, "day": 24, "week": WEEK_HOURS}
LOG, REMOVED_FILES = "delta.logRetentionDuration", "delta.deletedFileRetentionDuration"
# What counts for a table without the property. Delta keeps the names for a week and the log for 30 days: two commits a minute are
# 90,000 files of that, and on S3 each reading of the log lists them all. So the log's is always set.
UNSET = {LOG: 0.0, REMOVED_FILES: float(WEEK_HOURS)}


def days(hours: int) -> int:
    """How many whole days a table remembers whose files stay for `hours`."""
    return -(-max(hours, WEEK_HOURS) // 24)


def lacking(configuration: Mapping[str, str], hours: int) -> dict[str, str]:
    """The properties with which a table remembers for `hours`, in whole days; without those that last as long already."""
    wanted = days(hours)
    return {key: f"interval {wanted} days" for key in UNSET if _kept(configuration, key) < wanted * 24}


def in_hours(interval: str) -> float | None:
    """`interval 2 days` → 48; None for a unit that is none of Delta's usual ones."""
    found = re.fullmatch(r"(?:interval\s+)?(\d+)\s+(hour|day|week)s?", interval.strip().lower())
    return int(found[1]) * HOURS[found[2]] if found else None


def _kept(configuration: Mapping[str, str], key: str) -> float:
    """Hours; endless for a unit that is not known, as somebody chose it."""
    if key not in configuration:
        return UNSET[key]
    hours = in_hours(configuration[key])
    return float("inf") if hours is None else hours
