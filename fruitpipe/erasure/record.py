"""The record of one erasure, and how it is written in its file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from fruitpipe.errors import Damaged

Status = Literal["requested", "waiting", "searching", "incomplete", "done"]
Step = Literal["withdraw", "remove", "search", "look again", "nothing"]
ROWS_DELETED = "rows_deleted"


@dataclass(frozen=True)
class Erasure:
    """One request and what has become of it; times are ISO 8601 in UTC.

    images: salted hashes of their names. asked_as: salted hashes of the prefix and the label that were given in their place.
    status, for people: ``requested``; ``waiting`` for the end of the grace period, at `files_go_after`; ``searching``;
    ``incomplete``, where `remaining` says what could not be removed yet; ``done``. step: the next one, see `execution`.
    features_table, features_version: Delta's id of the table, and its version without the rows. places: what was removed from
    each place, by which rule. withdrawn: the versions that were withdrawn, as they held an image. not_searched: places that this
    software cannot reach. elsewhere: what S3 answered about copies that it makes itself. more: fields of a later version of this
    software, by name, which are kept as they are.
    """

    id: str
    requested_at: str
    requested_by: str
    keep_object: bool
    images: list[str]
    asked_as: list[str] = field(default_factory=list)
    status: Status = "requested"
    step: Step = "withdraw"
    carried_out_at: str | None = None
    files_go_after: str | None = None
    features_table: str | None = None
    features_version: int | None = None
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)
    verification: dict[str, Any] | None = None
    remaining: list[dict[str, str]] = field(default_factory=list)
    not_searched: list[str] = field(default_factory=list)
    elsewhere: list[dict[str, str]] = field(default_factory=list)
    completed_at: str | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float:
        """Until the grace period ends, for a request that waits for that; else 0."""
        if self.step != "remove" or self.files_go_after is None:
            return 0.0
        return max(0.0, (datetime.fromisoformat(self.files_go_after) - datetime.now(UTC)).total_seconds())


NAMES = tuple(one.name for one in fields(Erasure) if one.name != "more")  # in the file


def parsed(uri: str, body: bytes) -> Erasure:
    """The record in a file. Raises Damaged where that cannot be told: what it keeps out would come back as rows."""
    try:
        found = _of(json.loads(body))
        if found.status in get_args(Status) and found.step in get_args(Step) and _are_hashes(found.images):
            return found
        reason = f"{len(body)} bytes that say something else"
    except (ValueError, TypeError, AttributeError) as error:
        reason = str(error)
    raise Damaged(
        f"{uri}: is no record of an erasure ({reason}); restore it, from a backup or its bucket, or remove it and ask for that "
        "erasure again"
    )


def body(erasure: Erasure) -> bytes:
    """What its file holds; `parsed` gives the same record."""
    told = {name: getattr(erasure, name) for name in NAMES}
    return json.dumps(told | erasure.more, indent=2).encode()


def counted(records: Iterable[Erasure]) -> Counter[str]:
    """Records in numbers: requests by status, their images, and the rows of the features table that they deleted so far."""
    found = Counter[str]()
    for record in records:
        rows = record.places.get("features", {}).get("removed", 0)
        found.update({record.status: 1, "images": len(record.images), ROWS_DELETED: rows})
    return found


def _of(told: dict[str, Any]) -> Erasure:
    known = {name: value for name, value in told.items() if name in NAMES}
    return Erasure(**known, more={name: value for name, value in told.items() if name not in NAMES})


def _are_hashes(images: object) -> bool:
    return isinstance(images, list) and all(isinstance(image, str) for image in images)
