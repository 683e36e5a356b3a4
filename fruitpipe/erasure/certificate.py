"""The contents of an erasure's certificate: what was removed, what the search read and found, what remains and until when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe.erasure import elsewhere, image_objects, places, register, search
from fruitpipe.errors import AccessDenied, Damaged, InvalidResult, MixedExtractors
from fruitpipe.export import register as exports

if TYPE_CHECKING:
    from fruitpipe.erasure.byte_search import Traces
    from fruitpipe.erasure.notes import Objects
    from fruitpipe.erasure.record import Erasure
    from fruitpipe.errors import DuplicateRows
    from fruitpipe.export.register import Export

ENDS_BY_ITSELF = "it is removed by hand, or by the first start after its process has ended; a log by one 30 days later"
ELSEWHERE = [
    "the functions' logs in CloudWatch and the cluster's logs: they hold names of images until their retention ends",
    "messages in the queues: S3's events name images until they are read or expire",
    "copies that somebody made outside the root and the image prefix, backups among them",
]


def summary(erasure: Erasure) -> str:
    """The state of a request, in one line for people."""
    images = f"{len(erasure.images)} images"
    if erasure.status == "done":
        verified = erasure.verification or {"files": 0, "bytes": 0}
        read = verified.get("whole_root", verified)
        is_elsewhere = erasure.remaining or elsewhere.to_do(erasure.elsewhere)
        also = "; the record names what lies elsewhere" if is_elsewhere else ""
        return f"{images} erased; {read['files']} files, {read['bytes']} bytes read, no trace found{also}"
    if erasure.status == "waiting":
        return f"{images} erased from the table and all that is published; files go after {erasure.files_go_after}"
    if erasure.status == "searching":
        return f"{images} erased; every byte under the root is being read for what is left"
    if erasure.status == "incomplete":
        return f"{images} erased, but {len(erasure.remaining)} places still hold something; see the record"
    return f"{images} requested"


def verification(root: str, erasure: Erasure, found: search.Search, hits: Sequence[str], traces: Traces) -> dict[str, object]:
    """The record's `verification`: how much the search read, and in which places it found traces of this request.

    A search of only what an earlier one had found adds the figures of that earlier one, as `whole_root`.
    """
    before = erasure.verification or {}
    whole = {} if found.is_of_all else {"whole_root": before.get("whole_root", before)}
    return whole | {
        "verified_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": found.files,
        "bytes": found.bytes,
        "files_with_traces": len(hits),
        "by_place": dict(Counter(search.place_of(root, uri) for uri in hits)),
        "not_understood": [f"{_redacted(root, uri, traces)}: {why}" for uri, why in found.unread.items()],
        "method": "every byte of every file under the root, Parquet, NumPy archives and compressed files decoded",
    }


def remaining(
    root: str, erasure: Erasure, hits: Sequence[str], traces: Traces, gone: Objects
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Entries of `remaining`, with what, until when and why: first those to be tried again, then those left to the user."""
    let_go = "access is granted, its lock ends or its store works again"
    left = [_left("an object, or a version of it", let_go, why) for _, why in gone.left]
    left += [
        _left(_redacted(root, uri, traces), "the next attempt", "it still names an image or holds its vector") for uri in hits
    ]
    told = []
    if not erasure.keep_object:
        targets = image_objects.still_linked(gone.linked)
        left += [_left(uri, "it is erased too, or removed", "the image was a link to it: it is the picture") for uri in targets]
        words = [one for one in gone.linked if not one.startswith("file://")]
        told += [_left(word, "they are removed by hand", "find PREFIX -inum INODE finds them") for word in words]
    logs = places.on_this_machine(traces)
    told += [_left(uri, ENDS_BY_ITSELF, "Spark's, on the stream's own machine") for uri in logs]
    told += _exports(root)
    if erasure.keep_object:
        told.append(_left("the objects, and their names in listings", "they are removed", "--keep-object was asked for"))
    return left, told


def out_of_step(root: str) -> tuple[list[Export], str]:
    """What was made of versions that are not published any more, or why that is not known: then there is nothing in the list."""
    try:
        return exports.withdrawn(root), ""
    except (AccessDenied, Damaged) as error:
        return [], str(error)


def _exports(root: str) -> list[dict[str, str]]:
    """Entries for what was made of versions that are not published any more: an erasure withdrew one, or `--keep` removed it."""
    found, why_not = out_of_step(root)
    if why_not:
        what = "apps and published copies that were made of earlier versions"
        return [_left(what, "their list can be read", f"which is not known: {why_not}")]
    withdrawn = {version for one in register.every(root) for version in one.withdrawn}
    told = []
    for one in found:
        why = "an erasure withdrew" if one.version in withdrawn else "is not published any more"
        told.append(_left(one.uri, one.way_out, f"it was made of {one.version}, which {why}"))
    return told


def _left(what: str, until: str, why: str) -> dict[str, str]:
    return {"what": what, "until": until, "why": why}


def _redacted(root: str, uri: str, traces: Traces) -> str:
    """A file's path below the root; only its folder where it names an image, as a search would find the record itself."""
    within = uri.removeprefix(f"{root}/")
    return f"a file in {search.place_of(root, uri)} with an image's name" if traces.named_in(uri.encode()) else within


def with_objects(before: dict[str, dict[str, object]], gone: Objects) -> dict[str, dict[str, object]]:
    """The places with that of the removed objects added."""
    return before | {"objects": {"rule": "removed, with all versions", "removed": gone.removed}}


def damaged(error: Exception) -> dict[str, str]:
    """The entry for a data file of the table that is gone or cannot be read, so that none of its rows can be deleted."""
    file = re.search(r"[\w.-]+\.parquet", str(error))
    return _left(f"the table's file {file[0] if file else ''}".rstrip(), "the table is whole again", "it is gone or damaged")


def added(before: dict[str, dict[str, object]], removed: Counter[str]) -> dict[str, dict[str, object]]:
    """The places with the counts of `removed` added, each with its rule."""
    counts = Counter({name: int(str(place["removed"])) for name, place in before.items()}) + removed
    names = [*places.RULES, *(name for name in counts if name not in places.RULES)]
    return {name: {"rule": places.RULES.get(name, "removed"), "removed": counts[name]} for name in names}


def refused(error: AccessDenied) -> dict[str, str]:
    """The entry for a file under the root that the store refuses."""
    return {"what": "a file under the root", "until": "access is granted or its lock ends", "why": image_objects.reason(error)}


def unfitted(error: MixedExtractors | DuplicateRows | InvalidResult) -> dict[str, str]:
    """The entry for versions that stay, as none can be fitted on the rows that are left. It names no image."""
    until, why = "all rows are of one extractor", str(error)
    if isinstance(error, InvalidResult):
        until = "a refit succeeds"
    elif not isinstance(error, MixedExtractors):
        until, why = (
            "each image has one row",
            "run fruitpipe reconcile --images URI --root ROOT: the stream repairs the others",
        )
    return _left("versions that hold the images", until, why)
