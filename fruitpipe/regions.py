"""The AWS regions where data may lie: those of the European Union, unless a setting says otherwise."""

from __future__ import annotations

from collections.abc import Iterable

from fruitpipe import objects
from fruitpipe.errors import WrongRegion, WrongUsage

# AWS's regions in the Union. London (eu-west-2) and Zurich (eu-central-2) lie outside it.
UNION = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3", "eusc-de-east-1")
SOVEREIGN = {"eusc-de-east-1"}  # a cloud of its own, with accounts of its own
ANY = "any"


def parse(text: str) -> str:
    """``eu-west-1,eu-west-3`` without blanks. Raises WrongUsage where it names none."""
    named = [region.strip() for region in text.split(",") if region.strip()]
    if not named:
        raise WrongUsage("--regions is empty: name regions, as eu-west-1,eu-west-3, or say any")
    return ",".join(named)


def check(uris: Iterable[str], allowed: str) -> None:
    """Raises WrongRegion where a bucket lies elsewhere. One request a bucket."""
    if allowed == ANY:
        return
    for bucket in sorted({objects.bucket(uri) for uri in uris if objects.is_s3(uri)}):
        check_one(f"s3://{bucket}", objects.region(f"s3://{bucket}"), allowed)


def check_one(place: str, region: str, allowed: str) -> None:
    """Raises WrongRegion where the region of a place is none of those that are allowed."""
    if allowed != ANY and region not in allowed.split(","):
        raise WrongRegion(
            f"{place} lies in {region}, and data may lie in {allowed.replace(',', ', ')} only; use a bucket there, or "
            f"allow the region with FRUITPIPE_REGIONS={allowed},{region}, or --regions of a job"
        )
