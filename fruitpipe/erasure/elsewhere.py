"""Asks AWS for copies, lists and logs that it makes of images by itself, and that an erasure need not reach.

Each is an entry of the record. What the answers mean is decided in `copies`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure import copies, image_objects
from fruitpipe.errors import FruitpipeError

if TYPE_CHECKING:
    from fruitpipe.objects.bucket_settings import Setting, Target

Uploads = Callable[[Collection[str]], Iterable[objects.Upload]]


def of(
    root: str,
    paths: Collection[str],
    *,
    exports: Collection[str] = (),
    remains: bool = False,
    uploads: Uploads = image_objects.uploads_of,
) -> list[dict[str, str]]:
    """The entries for the buckets of the root and of the images, `paths`; none where all of them are local folders.

    exports: places with what was made of versions that held the images. remains: whether objects of the images stay.
    uploads: gives the incomplete uploads of those of `paths` that lie in one bucket.
    """
    buckets = sorted({objects.bucket(uri) for uri in (root, *exports, *paths)} - {""})
    if not buckets:
        return []
    asked = (_ask(bucket, (root, *exports), paths, remains, uploads) for bucket in buckets)
    return [*(line for one in asked for line in copies.entries(one)), *_of_other_services(buckets)]


def of_prefix(root: str, images: str | None) -> list[dict[str, str]]:
    """The entries for a root and the prefix of its images, before anything is erased."""
    return of(root, [images] if images else [], uploads=lambda uris: [one for uri in uris for one in objects.uploads(uri)])


def to_do(lines: Iterable[dict[str, str]]) -> list[str]:
    """A sentence for each entry that is the user's to do. Records of before had no state."""
    return [f"{one['what']} ({one['answer']}): {one['to_do']}" for one in lines if one.get("state") == "to do"]


def _of_other_services(buckets: Sequence[str]) -> list[dict[str, str]]:
    """The entries for what only services beside S3 can tell, which an erasure has no right to ask."""
    trail = (
        "aws cloudtrail list-trails, then aws cloudtrail get-event-selectors --trail-name NAME for each: where one keeps data "
        "events of S3, these hold the images' names; let them expire in 30 days or less"
    )
    points = "aws backup list-recovery-points-by-resource --resource-arn arn:aws:s3:::{}: each holds what the bucket held then"
    asked, unknown = "nothing", "unknown: an erasure does not ask {}"
    return [
        copies.entry("CloudTrail's data events", asked, unknown.format("CloudTrail"), copies.Verdict("unknown", trail)),
        *(
            copies.entry(
                f"backups of the bucket {one}", asked, unknown.format("AWS Backup"), copies.Verdict("unknown", points.format(one))
            )
            for one in buckets
        ),
    ]


def _ask(bucket: str, roots: Sequence[str], paths: Collection[str], remains: bool, uploads: Uploads) -> copies.Asked:
    from fruitpipe.objects import bucket_settings

    ours = [path for path in paths if objects.bucket(path) == bucket]
    images = _beginning([objects.bucket_and_key(path)[1] for path in ours]) if ours else None
    own = [objects.bucket_and_key(one)[1] for one in roots if objects.bucket(one) == bucket]
    own_root = f"{own[0]}/".removeprefix("/") if own else None
    settings = bucket_settings.of_bucket(bucket)
    lives = _lives(settings, [key for key in (images, own_root) if key is not None])
    return copies.Asked(bucket, settings, images, own_root, lives, _count(ours, uploads), remains, datetime.now(UTC).date())


def _lives(settings: Mapping[str, Setting], keys: Sequence[str]) -> dict[Target, copies.Life]:
    """How long what a bucket's settings put elsewhere stays there; a replica has the key of what it is of."""
    from fruitpipe.objects import bucket_settings

    lifetimes = cache(bucket_settings.lifetimes)
    lives = {one: copies.life(lifetimes(one.bucket), keys) for one in settings["replicas"].found}
    there = [one for name in ("access logs", "inventory reports") for one in settings[name].found]
    return lives | {one: copies.life(lifetimes(one.bucket), [one.prefix]) for one in there}


def _beginning(keys: Sequence[str]) -> str:
    """What all of these keys begin with."""
    first, last = min(keys), max(keys)
    return first[: next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))]


def _count(paths: Collection[str], uploads: Uploads) -> int | str:
    try:
        return sum(1 for _ in uploads(paths))
    except FruitpipeError as error:
        return f"unknown: {type(error).__name__}"
