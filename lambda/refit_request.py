"""Parses the event that asks for a refit: of a schedule, a rule, or by hand `{}`, `{"variance": 0.9}`, `{"components": 200}`.

`{"variance": 0.95, "unless_current": true, "keep": 14}` publishes nothing where nothing changed, keeps the current components as
long as they hold the share of variance, and keeps the newest 14 versions.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from claims import Fields

MAX_COMPONENTS = 2**16  # more than any network gives; the refit names the bound of its own rows
KNOWN = ("variance", "components", "unless_current", "keep")
# A schedule's fields about itself; EventBridge Scheduler replaces <aws.scheduler.…> by the values.
ORIGIN = {"execution_id", "schedule_arn", "scheduled_time"}


class NotStarted(Exception):
    """Nothing was started, and Lambda is to deliver the request again; one sentence says why and what to do."""


def arguments(event: Any) -> list[str]:
    """The flags of the refit. Raises NotStarted for values that the refit would refuse minutes later."""
    asked = {name: value for name, value in _asked(event).items() if value is not None}
    if unknown := asked.keys() - set(KNOWN):
        raise NotStarted(f"the event holds {', '.join(sorted(unknown))}; it may hold {', '.join(KNOWN)}")
    for other in ("variance", "unless_current"):
        if asked.get(other) and "components" in asked:
            raise NotStarted(f"{other} {asked[other]} and components {asked['components']} exclude each other; give one")
    for name, value in asked.items():
        if wanted := _wanted_instead(name, value):
            raise NotStarted(f"{name} is {value!r}; give {wanted}")
    return [text for name, value in asked.items() for text in _flag(name, value)]


def deliveries(event: Fields, context: Any) -> list[str]:
    """The ids by which a second delivery of a request is recognised. Some differ between attempts; a schedule's time does not."""
    rule, due = event.get("schedule_arn"), event.get("scheduled_time")
    if "detail-type" in event:
        rule, due = next(iter(event.get("resources") or []), None), event.get("time")
    known = {
        "request": getattr(context, "aws_request_id", None),
        "event": event.get("id"),
        "execution": event.get("execution_id"),
        "schedule": rule and due and f"{rule}@{due}",
    }
    return [f"{kind}:{value}" for kind, value in known.items() if value and "<aws.scheduler." not in str(value)]


def _wanted_instead(name: str, value: Any) -> str:
    """The values that the refit would take, where it would refuse this one; else empty."""
    if name == "variance":
        good, wanted = _is_number(value, (int, float)) and 0 < value <= 1, "a share above 0 and up to 1, as 0.95"
    elif name == "components":
        good, wanted = _is_number(value, int) and 1 <= value <= MAX_COMPONENTS, f"a whole number from 1 to {MAX_COMPONENTS}"
    elif name == "keep":
        good, wanted = _is_number(value, int) and value >= 1, "a whole number of versions, at least 1"
    else:
        good, wanted = isinstance(value, bool), "true or false"
    return "" if good else wanted


def _flag(name: str, value: Any) -> tuple[str, ...]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return (flag,) if value else ()
    return flag, str(value)


def _asked(event: Any) -> Fields:
    """The event's fields for the refit. An EventBridge event has them in `detail`, a schedule's as JSON text."""
    asked: Any = event if event is not None else {}
    if isinstance(event, dict) and "detail-type" in event:
        asked = event.get("detail") or {}
    if isinstance(asked, str):
        with suppress(ValueError):
            asked = json.loads(asked)
    if not isinstance(asked, dict):
        raise NotStarted(f'the event is {asked!r}; give {{}}, {{"variance": 0.9}} or {{"components": 200}}')
    return {name: value for name, value in asked.items() if name not in ORIGIN}


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)
