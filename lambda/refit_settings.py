"""The settings of the functions that start a refit, from the environment; `start_refit` says what each is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from refit_request import NotStarted


@dataclass(frozen=True)
class Settings:
    """Which cluster, which root, and how long a claim holds."""

    root: str
    home: str
    cluster_id: str
    cluster_tag: str
    guard_seconds: int
    min_interval_seconds: int
    hung_hours: int

    @classmethod
    def from_environment(cls) -> Settings:
        cluster_id, cluster_tag = os.environ.get("CLUSTER_ID", ""), os.environ.get("CLUSTER_TAG", "")
        if bool(cluster_id) == bool(cluster_tag):
            raise NotStarted(f"set either CLUSTER_ID or CLUSTER_TAG; they are {cluster_id!r} and {cluster_tag!r}")
        if cluster_tag and not cluster_tag.partition("=")[1]:
            raise NotStarted(f"CLUSTER_TAG is {cluster_tag!r}; set it to key=value")
        home = (os.environ.get("FRUITPIPE_HOME") or "/opt/fruitpipe").rstrip("/")
        guard, interval = _whole("FRUITPIPE_GUARD_SECONDS", 120), _whole("FRUITPIPE_MIN_INTERVAL_SECONDS", 60)
        hung_hours = _whole("FRUITPIPE_HUNG_HOURS", 12, "hours")
        return cls(_root(), home, cluster_id, cluster_tag, guard, interval, hung_hours)


def check_time(settings: Settings, context: Any) -> None:
    """A claim that expires while its holder still runs would let two of them add."""
    remaining = context.get_remaining_time_in_millis() / 1000 if hasattr(context, "get_remaining_time_in_millis") else 0
    if remaining >= settings.guard_seconds:
        raise NotStarted(
            f"FRUITPIPE_GUARD_SECONDS is {settings.guard_seconds}, but this function may run for {remaining:.0f} s; "
            f"set its timeout below the guard"
        )


def _root() -> str:
    root = os.environ.get("FRUITPIPE_ROOT", "").replace("s3a://", "s3://", 1).rstrip("/")
    if not root.startswith("s3://"):
        raise NotStarted(f"FRUITPIPE_ROOT is {root!r}; set it to s3://bucket/prefix")
    return root


def _whole(variable: str, default: int, of: str = "seconds") -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal():
        raise NotStarted(f"{variable} is {text!r}; set it to a whole number of {of}")
    return int(text)
