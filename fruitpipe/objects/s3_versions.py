"""Removes what a bucket keeps beside its current objects: earlier versions, delete markers, multipart uploads.

A bucket that is not there keeps nothing: who asks what is left of an image, or removes it, gets that answer and no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fruitpipe.errors import NotFound
from fruitpipe.objects import s3_removal
from fruitpipe.objects.s3_connection import client
from fruitpipe.objects.s3_errors import NO_BUCKET, explain, explained, no_service
from fruitpipe.objects.s3_look import look
from fruitpipe.objects.stat import Gone, Upload
from fruitpipe.objects.uris import bucket_and_key

NO_UPLOADS = {*NO_BUCKET, "NotImplemented"}  # the latter by a server that takes no uploads in parts


def drop_version(uri: str, etag: str) -> None:
    bucket, key = bucket_and_key(uri)
    _, _, version = etag.partition("@")
    if version:  # else what was written later took its place
        with explained(uri):
            client().delete_object(Bucket=bucket, Key=key, VersionId=version)


def has_versions(uri: str) -> bool:
    bucket, key = bucket_and_key(uri)
    with suppress(NotFound), explained(uri):
        if not _is_versioned(bucket):
            return not isinstance(look(uri, None, 0), Gone)
        return next(_versions_of(bucket, key), None) is not None
    return False


def erase(uri: str) -> int:
    bucket, key = bucket_and_key(uri)
    with suppress(NotFound), explained(uri):
        if not _is_versioned(bucket):
            there = has_versions(uri)
            if there:  # else the right to remove it is not needed either: somebody else has removed it
                client().delete_object(Bucket=bucket, Key=key)
            return int(there)
        return _remove(bucket, list(_versions_of(bucket, key)))
    return 0


def purge(uri: str) -> int:
    bucket, key = bucket_and_key(uri)
    with explained(uri):
        if not _is_versioned(bucket):
            return 0
        below = chain(_versions_of(bucket, key), _versions_below(bucket, f"{key}/")) if key else _versions_below(bucket, "")
        return _remove(bucket, [found for found in below if not found["IsLatest"] or "Size" not in found])


def uploads(uri: str) -> Iterator[Upload]:
    bucket, key = bucket_and_key(uri)
    try:
        for page in client().get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
            for found in page.get("Uploads", ()):
                if not key or f"{found['Key']}/".startswith(f"{key}/"):
                    yield Upload(f"s3://{bucket}/{found['Key']}", found["UploadId"], found["Initiated"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in NO_UPLOADS:
            raise explain(uri, error) from error
    except BotoCoreError as error:
        raise no_service(uri, error) from error


def abort(upload: Upload) -> None:
    bucket, key = bucket_and_key(upload.path)
    with explained(upload.path):
        client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload.id)


def _is_versioned(bucket: str) -> bool:
    """Whether there may be versions: also where versioning was on and is suspended now."""
    return bool(client().get_bucket_versioning(Bucket=bucket).get("Status"))


def _versions_of(bucket: str, key: str) -> Iterator[Any]:
    """Every version and delete marker (that has no Size) of one key.

    The listing has them before all keys that go on, of which there may be millions, and ends there.
    """
    for page in _pages(bucket, key):
        yield from (found for found in page if found["Key"] == key)
        if any(found["Key"] != key for found in page):
            return


def _versions_below(bucket: str, prefix: str) -> Iterator[Any]:
    """The same of all keys that begin with `prefix`, which ends with a slash, or is empty for the whole bucket."""
    for page in _pages(bucket, prefix):
        yield from page


def _pages(bucket: str, prefix: str) -> Iterator[list[Any]]:
    for page in client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        yield [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]


def _remove(bucket: str, versions: list[Any]) -> int:
    """Removes versions, then delete markers, so that a deleted object is never visible in between; returns how many."""
    for markers in (False, True):
        those = [found for found in versions if ("Size" not in found) is markers]
        s3_removal.remove(client(), bucket, [{"Key": found["Key"], "VersionId": found["VersionId"]} for found in those])
    return len(versions)
