"""Objects of a bucket in S3, and versions of them, removed 1,000 with a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef as Named  # an object, or one of its versions

AT_ONCE = 1000  # the most that S3 takes
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # as the request is


def remove(client: S3Client, bucket: str, wanted: Sequence[Named]) -> None:
    """Removes all of `wanted`. Raises ClientError for the first that cannot be.

    What the store does not do in bulk it is asked for alone, where boto3 repeats what may succeed and raises the rest. That is
    also the way of a server that wants a checksum which boto3 no longer sends, and of names that XML cannot carry.
    """
    alone = [one for one in wanted if NOT_IN_XML.search(one["Key"])]
    together = [one for one in wanted if not NOT_IN_XML.search(one["Key"])]
    for first in range(0, len(together), AT_ONCE):
        alone += _left(client, bucket, together[first : first + AT_ONCE])
    for one in alone:
        client.delete_object(Bucket=bucket, Key=one["Key"], **_version(one))


def _version(one: Named) -> Any:
    return {"VersionId": one["VersionId"]} if "VersionId" in one else {}


def _left(client: S3Client, bucket: str, wanted: list[Named]) -> list[Named]:
    """Asks for all of `wanted` to be removed, in one request, and returns those that were perhaps not."""
    try:
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": True})
    except ClientError:
        return wanted
    failed = {error.get("Key") for error in answer.get("Errors", ())}
    return wanted if None in failed else [one for one in wanted if one["Key"] in failed]
