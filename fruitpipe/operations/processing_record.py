"""Prints a record of processing activities, as article 30 (1) of the GDPR asks for one, from the settings of a root as they are.

What software cannot know is a line to be filled in: who the controller is, what for, whom the pictures show.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

import fruitpipe
from fruitpipe import objects, regions
from fruitpipe.erasure import elsewhere
from fruitpipe.erasure import register as erasures
from fruitpipe.errors import AccessDenied, Damaged, NotFound, WrongUsage
from fruitpipe.export import register
from fruitpipe.export.register import Export
from fruitpipe.output import to_json
from fruitpipe.pictures import naming
from fruitpipe.refit import pointer
from fruitpipe.root import layout
from fruitpipe.settings import IngestSettings
from fruitpipe.table import retention
from fruitpipe.table.snapshot import Snapshot

Sections = dict[str, list[str]]

FILL_IN = "to be filled in: "
# How long a place under the root keeps what it holds; the names in braces are fields of IngestSettings.
LIMITS = {
    "features": "as long as the image; files that the table no longer needs {vacuum_hours} h, those of erased rows "
    "{erasure_grace_hours} h; its log {log_days} days behind a checkpoint",
    "events": "{manifest_days:g} days after all events of a manifest are committed",
    "stale": "until the images are computed again",
    "rejected": "{rejected_days:g} days",
    "checkpoints": "as long as the stream; one of {checkpoint_days:g} days is begun anew at the next start",
    "models": "until fruitpipe refit --root ROOT --keep N removes the version",
    "reduced": "until fruitpipe refit --root ROOT --keep N removes the version; {versions} are published",
    "reports": "until removed by hand; all go with an erasure",
    "triggers": "until the refit that they ask for; they name no image",
    "erasures": "as long as the certificates have to be shown; salted hashes of names",
}


def lines(root: str, images: str | None, *, as_json: bool = False) -> list[str]:
    """The record as lines for people, or as one JSON object. Raises AccessDenied, Damaged, WrongUsage."""
    root = objects.canonical(root)
    sections = of(root, [objects.canonical(images)] if images else naming.of(root).prefixes)
    if as_json:
        return to_json(sections, indent=2).split("\n")
    return [line for title, told in sections.items() for line in (title, *(f"  {one}" for one in told))]


def of(root: str, prefixes: Sequence[str]) -> Sections:
    """The record's parts by their titles, with the letters of article 30 (1). prefixes: of the images."""
    asked = [line for prefix in prefixes or (None,) for line in elsewhere.of_prefix(root, prefix)]
    copies = list({line["what"]: line for line in asked}.values())
    exports = _exports(root)
    places = [one.place for one in exports if isinstance(one, Export)]
    return {
        "record of processing activities, GDPR, article 30 (1)": _heading(root),
        "(a) controller": [f"{FILL_IN}name and contact of the controller, its representative and its data protection officer"],
        "(b) purposes": [
            f"{FILL_IN}what the features of the pictures are for",
            "by software: features, and classes, of pictures",
        ],
        "(c) data subjects and data": _data(root, prefixes),
        "(d) recipients": _recipients([root, *prefixes, *places], copies) + _who_has(exports),
        "(e) transfers to third countries": _transfers([root, *prefixes, *places]),
        "(f) time limits": _time_limits(root, prefixes, copies) + _limits_of(exports),
        "(g) security measures": _security([root, *prefixes]),
    }


def _heading(root: str) -> list[str]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return [f"of {root}, at {now}, by fruitpipe {fruitpipe.__version__}"]


def _data(root: str, prefixes: Sequence[str]) -> list[str]:
    told = [
        f"{FILL_IN}whom pictures show and names of files name",
        f"pictures: {', '.join(prefixes) or 'no prefix was ingested so far'}",
        "of each: name, label, size, times, SHA-256, features; reduced features of those that could be decoded",
    ]
    try:
        (row,) = Snapshot(root).query(
            "SELECT count(*) AS rows, count(DISTINCT label) AS labels, count(error) AS failed FROM features"
        )
    except NotFound:
        return [*told, "held now: no table yet"]
    return [*told, f"held now: {row['rows']} rows, {row['labels']} labels, {row['failed']} rows without features"]


def _exports(root: str) -> list[Export | str]:
    """What lies elsewhere of the root's versions; for a list that cannot be read, why."""
    try:
        return [*register.every(root)]
    except (AccessDenied, Damaged) as error:
        return [str(error)]


def _recipients(uris: Sequence[str], copies: Sequence[dict[str, str]]) -> list[str]:
    if all(uri.startswith("file://") for uri in uris):
        return ["none: everything stays on this machine, and nothing is sent elsewhere"]
    by = objects.server()
    told = [f"processor: {by}, which stores the buckets; no picture and no name is sent anywhere else by this software"]
    return told + [f"{line['what']}: {line['answer']}" for line in copies if line["what"].startswith("replicas")]


def _who_has(exports: Sequence[Export | str]) -> list[str]:
    return [
        f"apps and published copies: unknown: {one}"
        if isinstance(one, str)
        else f"{one.uri}: {FILL_IN}who may load this {one.kind} of {one.version} ({one.holds})"
        for one in exports
    ]


def _limits_of(exports: Sequence[Export | str]) -> list[str]:
    until = "until it is written again, or taken away, by fruitpipe's command for it"
    on_phones = {register.APP: "; on a phone until that is next online"}
    return [f"{one.uri}: {until}{on_phones.get(one.kind, '')}" for one in exports if isinstance(one, Export)]


def _transfers(uris: Sequence[str]) -> list[str]:
    told = [f"s3://{bucket}: {_lies_in(bucket)}" for bucket in _buckets(uris)]
    told += [
        f"{uri}: {FILL_IN}the region" for uri in dict.fromkeys(uris) if not uri.startswith("file://") and not objects.is_s3(uri)
    ]
    return told or ["none: no bucket is used"]


def _lies_in(bucket: str) -> str:
    try:
        region = objects.region(f"s3://{bucket}")
    except AccessDenied as error:
        return f"unknown: {error}; {FILL_IN}the region"
    if region in regions.UNION:
        return f"{region}, in the European Union"
    if objects.server() != "AWS":  # it has no regions of AWS: one that was given none says that it is in the oldest
        return f"unknown: {objects.server()} does not say where it is; {FILL_IN}the country"
    return f"{region}, outside the Union; {FILL_IN}the safeguards (article 46)"


def _time_limits(root: str, prefixes: Sequence[str], copies: Sequence[dict[str, str]]) -> list[str]:
    settings = _settings(root, prefixes)
    found = pointer.find(root)
    fields = settings.model_dump() | {"versions": len(found.versions) if found else 0}
    fields |= {"log_days": retention.days(settings.vacuum_hours)}
    requests = Counter(one.status for one in erasures.every(root))
    return [
        f"pictures: {FILL_IN}how long they are kept; fruitpipe erase --root ROOT URI removes single ones",
        *(f"{objects.join(root, place)}: {LIMITS[place].format(**fields)}" for place in layout.FOLDERS),
        "settings of a stream: " + (", ".join(sorted(_given(settings))) or "the defaults") + "; its own flags may say otherwise",
        "erasures: " + (", ".join(f"{count} {status}" for status, count in sorted(requests.items())) or "none was asked for"),
        *(f"{one['what']}: {one['answer']}" + (f", until {one['until']}" if one["until"] else "") for one in copies),
    ]


def _settings(root: str, prefixes: Sequence[str]) -> IngestSettings:
    """A stream's settings as the environment gives them. Raises WrongUsage."""
    try:
        return IngestSettings(root=root, images=prefixes[0] if prefixes else root)
    except ValidationError as error:
        faults = (f"FRUITPIPE_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise WrongUsage("; ".join(faults)) from error


def _given(settings: IngestSettings) -> list[str]:
    fields = settings.model_fields_set - {"root", "images"}
    return [f"FRUITPIPE_{field.upper()}={getattr(settings, field)}" for field in fields]


def _security(uris: Sequence[str]) -> list[str]:
    told = [
        "names in certificates are salted hashes (HMAC-SHA-256); one writer at a time; each erasure is verified by a search",
        f"{FILL_IN}who has access, and by which roles",
    ]
    for uri in uris:
        folder = Path(uri.removeprefix("file://"))
        if not objects.is_s3(uri) and folder.is_dir():
            found = folder.stat()
            told.append(f"{uri}: a folder of user {found.st_uid} with the mode {stat.filemode(found.st_mode)}")
    for bucket in _buckets(uris):
        from fruitpipe.objects import bucket_settings

        told += [f"{name} of the bucket {bucket}: {one.answer}" for name, one in bucket_settings.protection(bucket).items()]
    return told


def _buckets(uris: Sequence[str]) -> list[str]:
    return sorted({objects.bucket(uri) for uri in uris if objects.is_s3(uri)})
