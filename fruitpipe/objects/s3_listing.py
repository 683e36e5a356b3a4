"""What lies below a prefix of a bucket, 1,000 keys with a request, many requests at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fruitpipe.objects import listing
from fruitpipe.objects.s3_connection import client
from fruitpipe.objects.s3_errors import explained
from fruitpipe.objects.stat import Stat
from fruitpipe.objects.storage_classes import is_archived
from fruitpipe.objects.uris import bucket_and_key


def list_all(uri: str, on_denied: Callable[[str], None] | None = None, listers: int = listing.LISTERS) -> Iterator[Stat]:
    del on_denied  # a listing is refused whole
    bucket, key = bucket_and_key(uri)
    prefix = f"{key}/" if key else ""  # without the slash the listing would page through siblings whose names go on
    with explained(uri):
        below = listing.listed(partial(_page, bucket, prefix), partial(_folders, bucket, prefix), listers)
        yield from (stat for stat in below if not stat.path.endswith("/"))
        if key:
            yield from (stat for stat in _stats(bucket, _list(bucket, Prefix=key, MaxKeys=1)) if stat.path == uri)


def children(uri: str) -> list[str]:
    bucket, key = bucket_and_key(uri)
    prefix = f"{key}/" if key else ""
    found: list[str] = []
    with explained(uri):
        for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
            found += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            found += [entry["Key"] for entry in page.get("Contents", ()) if entry["Key"] != prefix]
    return [child.removeprefix(prefix) for child in found]


def _list(bucket: str, **options: Any) -> Any:
    """The answer to one request for at most 1,000 keys."""
    return client().list_objects_v2(Bucket=bucket, **options)


def _page(bucket: str, prefix: str, after: str) -> listing.Page[Stat]:
    """The keys below the prefix that follow `after`, which like them is told without the prefix."""
    answer = _list(bucket, Prefix=prefix, **({"StartAfter": prefix + after} if after else {}))
    while answer["IsTruncated"] and not any(entry["Key"] > prefix for entry in answer.get("Contents", ())):
        answer = _list(bucket, Prefix=prefix, ContinuationToken=answer["NextContinuationToken"])
    names = [entry["Key"].removeprefix(prefix) for entry in answer.get("Contents", ())]
    return names, list(_stats(bucket, answer)), answer["IsTruncated"]


def _folders(bucket: str, prefix: str, below: str, after: str) -> list[str]:
    answer = _list(bucket, Prefix=prefix + below, Delimiter="/", StartAfter=prefix + after)
    return [entry["Prefix"].removeprefix(prefix) for entry in answer.get("CommonPrefixes", ())]


def _stats(bucket: str, answer: Any) -> Iterator[Stat]:
    for entry in answer.get("Contents", ()):
        shut = is_archived(entry.get("StorageClass"))
        yield Stat(f"s3://{bucket}/{entry['Key']}", entry["ETag"].strip('"'), entry["Size"], entry["LastModified"], shut)
