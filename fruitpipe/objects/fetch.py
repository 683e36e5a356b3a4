"""A GET from S3 at a sixth of boto3's processor time, by obstore. The only importer of obstore.

It vouches for the plain answers alone: the object, "not modified" and "no such key", which are all of a million but a few. With
anything else it leaves the question to boto3, which asks once more: so there is one place that knows S3's errors, redirects and
retries.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, NotModifiedError
from obstore.store import S3Store

from fruitpipe.objects.stat import Found, Gone, Look, Stat, TooLarge, Unchanged, etag

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.credentials import ReadOnlyCredentials
    from obstore import GetOptions
    from obstore.store import S3Credential

    Credentials = Callable[[], ReadOnlyCredentials]

SHARED = timedelta(minutes=5)  # that keys are used before botocore is asked again, which gives none with less than ten left
# A dropped connection or a busy server is asked again at once; whatever lasts is for boto3, which slows all of its requests down.
RETRIES = 2
NO_SUCH_KEY = "<Code>NoSuchKey</Code>"  # in S3's answer, which the error quotes
UNNAMEABLE = {"", ".", ".."}  # between the slashes of a key: obstore takes a key for a path, and would ask for another


def store(bucket: str, endpoint: str, region: str, credentials: Credentials) -> S3Store:
    """A bucket, and how boto3 reaches it."""

    def keys() -> S3Credential:
        """What botocore has, as long as that is sure to be valid."""
        frozen, expires_at = credentials(), datetime.now(UTC) + SHARED
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": expires_at,
        }

    return S3Store(
        bucket,
        endpoint=endpoint,
        region=region,
        credential_provider=keys,
        client_options={"allow_http": endpoint.startswith("http:")},
        retry_config={"max_retries": RETRIES},
    )


def get(store: S3Store, bucket: str, key: str, if_none_match: str | None, max_bytes: int | None) -> Look | None:
    """What `objects.look` says of an object, or None, which says nothing of it."""
    if not UNNAMEABLE.isdisjoint(key.split("/")):
        return None
    options: GetOptions = {"if_none_match": if_none_match} if if_none_match else {}
    try:
        answer = obstore.get(store, key, options=options)
        meta = answer.meta
        stat = Stat(f"s3://{bucket}/{key}", etag(meta["e_tag"] or "", meta["version"]), meta["size"], meta["last_modified"])
        if max_bytes is not None and stat.length > max_bytes:
            return TooLarge(stat)  # the body is left where it is
        return Found(stat, answer.bytes().to_bytes())
    except NotModifiedError:
        return Unchanged()
    except FileNotFoundError as error:  # the object, or the bucket
        return Gone() if NO_SUCH_KEY in str(error) else None
    except (BaseError, OSError, ValueError):  # obstore has words of Python's own for some
        return None
