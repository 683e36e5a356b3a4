"""What the record of an erasure says at last: what an independent reader read, what was removed, and what remains until when."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe.erasure import places
from fruitpipe.errors import MixedExtractors

if TYPE_CHECKING:
    from fruitpipe.erasure.register import Erasure
    from fruitpipe.errors import AccessDenied, DuplicateRows

OBJECT = "an object, or a version of it"
ELSEWHERE = [
    "the functions' logs in CloudWatch and the cluster's logs: they hold names of images until their retention ends",
    "messages in the queues: S3's events name images until they are read or expire",
    "copies that somebody made outside the root and the image prefix, backups and replicas among them",
]


def summary(erasure: Erasure) -> str:
    """What has become of a request, in one line."""
    images = f"{len(erasure.images)} images"
    if erasure.status == "done":
        assert erasure.verification is not None
        read = f"{erasure.verification['files']} files, {erasure.verification['bytes']} bytes read"
        return f"{images} erased; {read}, no trace found"
    if erasure.status == "waiting":
        return f"{images} erased from the table and all that is published; files go after {erasure.files_go_after}"
    if erasure.status == "incomplete":
        return f"{images} erased, but {len(erasure.remaining)} places still hold something; see the record"
    return f"{images} requested"


def verification(root: str, found: places.Search) -> dict[str, object]:
    """What the independent reader read and found."""
    return {
        "verified_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": found.files,
        "bytes": found.bytes,
        "files_with_traces": len(found.found),
        "by_place": found.by_place(root),
        "not_understood": found.unread,
        "method": "every byte of every file under the root, Parquet, NumPy archives and compressed files decoded",
    }


def remaining(root: str, erasure: Erasure, found: places.Search, logs: list[str]) -> list[dict[str, str]]:
    """What still holds something of the images, until when and why."""
    left = [one for one in erasure.remaining if one["what"] == OBJECT]
    left += [
        {"what": uri.removeprefix(f"{root}/"), "until": "the next attempt", "why": "it still names an image or holds its vector"}
        for uri in found.found
    ]
    left += [{"what": uri, "until": "it is removed by hand", "why": "a log of Spark's on this machine"} for uri in logs]
    if erasure.keep_object:
        left.append(
            {
                "what": "the objects, and their names in listings",
                "until": "they are removed",
                "why": "--keep-object was asked for",
            }
        )
    return left


def added(before: dict[str, dict[str, object]], removed: Counter[str]) -> dict[str, dict[str, object]]:
    """What was removed from each place in all rounds, with the place's rule."""
    counts = Counter({name: int(str(place["removed"])) for name, place in before.items()}) + removed
    names = [*places.RULES, *(name for name in counts if name not in places.RULES)]
    return {name: {"rule": places.RULES.get(name, "removed"), "removed": counts[name]} for name in names}


def refused(error: AccessDenied) -> dict[str, str]:
    """What remains where the store refuses something under the root."""
    return {"what": "a file under the root", "until": "access is granted or its lock ends", "why": reason(error)}


def reason(error: AccessDenied) -> str:
    """The store's own word, without the image's name."""
    text = str(error)
    return text[text.find("access is denied") :] if "access is denied" in text else "the store refuses"


def unfitted(error: MixedExtractors | DuplicateRows) -> dict[str, str]:
    """What remains where no version can be fitted on the rows that are left."""
    until = "all rows are of one extractor" if isinstance(error, MixedExtractors) else "each image has one row"
    return {"what": "versions that hold the images", "until": until, "why": str(error)}
