"""Checks everything that a root, its images and its cluster need, with a line each.

A check returns what it found, or raises an error whose sentence is the finding. All checks run, also after one that failed.
"""

from __future__ import annotations

import importlib.util
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from fruitpipe import objects, regions
from fruitpipe.errors import AccessDenied, Conflict, FruitpipeError, NotFound, PlatformFault
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.operations import image_checks, root_checks
from fruitpipe.root import layout, lease
from fruitpipe.runtime import jars, java

MOST_SECONDS_OFF = 60  # from the store's clock: of a day's or an hour's waiting, that changes nothing


@dataclass(frozen=True)
class Targets:
    """What to check. root, images: canonical URIs. Without images or cluster, their checks are left out."""

    root: str
    images: str | None
    model: str
    allowed_regions: str
    cluster: str | None = None
    verify: bool = False  # read every file whole, against its checksums

    @property
    def buckets(self) -> list[str]:
        return [uri for uri in (self.root, self.images) if uri and objects.is_s3(uri)]


@dataclass(frozen=True)
class Finding:
    """The result of one check: its name, whether it passed, what was found, and the remedy if it failed."""

    name: str
    ok: bool
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        said = f"{self.said}; {self.remedy}" if self.remedy else self.said
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.name:12} {said}"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def examine(targets: Targets) -> Iterator[Finding]:
    """Runs every check that applies, in the order in which one would fix things."""
    for name, (check, remedy) in applicable(targets).items():
        try:
            yield Finding(name, True, check(targets))
        except FruitpipeError as error:
            yield Finding(name, False, str(error), remedy)


def applicable(targets: Targets) -> dict[str, tuple[Callable[[Targets], str], str]]:
    """The checks that apply, by name, with their remedies. A local folder needs none of AWS."""
    checks = {
        "java": (check_java, ""),
        "jars": (check_jars, "fetch them: fruitpipe jars --s3"),
        "model": (check_model, ""),
    }
    if targets.buckets:
        checks["credentials"] = (check_credentials, "set a profile, a role or AWS_ACCESS_KEY_ID, and AWS_REGION")
        checks["region"] = (check_region, "")
    checks["root"] = (check_root, "")
    if objects.is_s3(targets.root):
        checks |= {"clock": (check_clock, ""), "lifecycle": (check_lifecycle, "")}
    if targets.images:
        checks["images"] = (check_images, "")
        if objects.is_s3(targets.images):
            checks["events"] = (check_events, "")
    if targets.buckets:
        checks["copies"] = (check_copies, "")
    if targets.cluster:
        checks["cluster"] = (check_cluster, "")
    checks["table"] = (check_table, "")
    checks["manifests"] = (check_manifests, f"have them read: {_ingest(targets)}")
    checks["erasures"] = (check_erasures, "")
    checks["stream"] = (
        check_stream,
        f"start it: {_ingest(targets)}; on AWS its step; a transient set-up has none between two runs",
    )
    checks["pointer"] = (check_pointer, "")
    return checks


def _ingest(targets: Targets) -> str:
    return f"fruitpipe ingest --images {targets.images or 'URI'} --root {targets.root}"


def check_java(_: Targets) -> str:
    return java.executable()


def check_jars(targets: Targets) -> str:
    if importlib.util.find_spec("pyspark") is None:
        return "the cluster's own, as its Spark is"
    wanted = jars.wanted(s3=bool(targets.buckets))
    if missing := [one for one in wanted if not jars.is_there(one)]:
        raise NotFound(f"{', '.join(missing)} is not on this machine")
    return ", ".join(wanted)


def check_model(targets: Targets) -> str:
    return f"{targets.model}, fingerprint {fingerprint(ModelFile.load(targets.model))}"


def check_credentials(_: Targets) -> str:
    from fruitpipe.operations import aws  # boto3 takes 0.3 s to import, which a local root need not pay

    return aws.identity()


def check_region(targets: Targets) -> str:
    regions.check(targets.buckets, targets.allowed_regions)
    return ", ".join(sorted({objects.region(uri) for uri in targets.buckets}))


def check_root(targets: Targets) -> str:
    """Does in the root what the jobs do: list, write, write on a condition, read, remove."""
    layout.check(targets.root)
    uri = objects.join(layout.folder(targets.root, "triggers"), f"doctor-{uuid.uuid4().hex[:8]}.json")
    try:
        _check_writes(targets.root, uri)
    except FruitpipeError:
        with suppress(FruitpipeError):  # who may not write may not remove either, and is to be told of the former
            objects.erase(uri)
        raise
    objects.erase(uri)
    if objects.exists(uri):
        raise AccessDenied(f"{targets.root}: objects cannot be removed")
    return f"{targets.root}: list, write, write on a condition, read and remove"


def _check_writes(root: str, uri: str) -> None:
    etag = objects.write(uri, b"1", if_absent=True)
    with suppress(Conflict):
        objects.write(uri, b"2", if_absent=True)
        raise PlatformFault(f"{root}: conditional writes are not kept to; the lease and the pointer need them")
    objects.write(uri, b"2", if_etag=etag)
    if objects.read(uri) != b"2":
        raise PlatformFault(f"{root}: what was written does not read back")


def check_images(targets: Targets) -> str:
    assert targets.images
    return image_checks.prefix(targets.images, targets.root)


def check_events(targets: Targets) -> str:
    assert targets.images
    from fruitpipe.operations import aws_checks

    return aws_checks.events(targets.images)


def check_lifecycle(targets: Targets) -> str:
    from fruitpipe.operations import aws_checks

    return aws_checks.lifecycle(targets.root)


def check_copies(targets: Targets) -> str:
    from fruitpipe.operations import aws_checks

    return aws_checks.copies(targets.root, targets.images)


def check_cluster(targets: Targets) -> str:
    assert targets.cluster
    from fruitpipe.operations import aws_checks

    return aws_checks.cluster(targets.cluster)


def check_table(targets: Targets) -> str:
    return root_checks.table(targets.root, verify=targets.verify)


def check_manifests(targets: Targets) -> str:
    return root_checks.waiting(targets.root)


def check_erasures(targets: Targets) -> str:
    return root_checks.erasures(targets.root)


def check_stream(targets: Targets) -> str:
    """Says which stream writes to the root. Raises NotFound where it is silent, or where none runs in S3."""
    holder = lease.holder(targets.root)
    if holder is None and objects.is_s3(targets.root):
        raise NotFound(f"{targets.root}: no stream runs")
    if holder is None:
        return f"none runs now; {_ingest(targets)} --once catches up"
    name, since, left = holder
    if left == 0:
        raise NotFound(f"{targets.root}: {name} wrote it since {since} and is silent; the next takes over in about a minute")
    until = "" if left is None else f"; another may take over in {left:.0f} s, unless it renews its lease before"
    return f"{name} since {since}{until}"


def check_clock(targets: Targets) -> str:
    """Compares this machine's clock with the store's: the ages of files, and S3's signatures, depend on both."""
    before, at_store, after = datetime.now(UTC), objects.store_time(targets.root), datetime.now(UTC)
    # The store tells whole seconds, of some moment while it was asked.
    ahead, behind = (before - at_store).total_seconds() - 1, (at_store - after).total_seconds()
    if (off := max(ahead, behind)) > MOST_SECONDS_OFF:
        way = "ahead of" if ahead > 0 else "behind"
        raise PlatformFault(
            f"this machine's clock is {off:.0f} s {way} that of {targets.root}, more than {MOST_SECONDS_OFF}: files seem older "
            "or younger than they are, and S3 refuses requests from 15 minutes on; set it (chrony, systemd-timesyncd)"
        )
    return f"within {max(0, math.ceil(off))} s of the store's"


def check_pointer(targets: Targets) -> str:
    """Checks that the published versions are whole."""
    return root_checks.published(targets.root, verify=targets.verify)
