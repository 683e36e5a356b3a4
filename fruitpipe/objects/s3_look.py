"""Looks at one object of S3: by `reader`, which is fast, and by boto3 where that has no plain answer, as it knows S3's errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from fruitpipe.errors import PlatformFault
from fruitpipe.objects import reader
from fruitpipe.objects.s3_connection import Connection, client, connected, credentials_of, endpoint_of
from fruitpipe.objects.s3_errors import OBJECT_FAULTS, explain, explained, no_service
from fruitpipe.objects.s3_etags import etag_of, quoted
from fruitpipe.objects.stat import Found, Gone, Look, Stat, TooLarge, Unchanged, Unreadable, Withheld
from fruitpipe.objects.uris import bucket_and_key

Answer = TypeVar("Answer")

BODY_ATTEMPTS = 4
BROKEN_BODIES = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
# One object's own troubles: its permissions, its key, its storage class. Everything else is the platform's.
ARCHIVED, OF_KMS, BUSY = "InvalidObjectState", "KMS.", "Throttling"
OF_ITS_NAME = {"KeyTooLongError", "InvalidURI"}


def look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    bucket, key = bucket_and_key(uri)
    quick = _quick(bucket)
    if not (quick and quick.answers(key)):
        return _look(uri, known_etag, max_bytes)
    if seen := quick.get(key, quoted(known_etag) if known_etag else None, max_bytes):
        return seen
    found = _look(uri, known_etag, max_bytes)
    if not isinstance(found, Unreadable):
        quick.failed()
    return found


def _look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    return _retried(uri, lambda: _look_once(uri, known_etag, max_bytes))


def _retried(uri: str, read: Callable[[], Answer]) -> Answer:
    """What `read` gives: boto3 retries requests, but not a body that breaks off. Raises PlatformFault."""
    for _ in range(BODY_ATTEMPTS):
        try:
            return read()
        except BROKEN_BODIES as error:
            broken = error
    raise PlatformFault(f"{uri}: the connection broke off {BODY_ATTEMPTS} times ({broken}); try again later")


def _look_once(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    bucket, key = bucket_and_key(uri)
    condition: Any = {"IfNoneMatch": quoted(known_etag)} if known_etag else {}
    try:
        answer = client().get_object(Bucket=bucket, Key=key, **condition)
    except ClientError as error:
        return _nothing_found(uri, error)
    except BotoCoreError as error:
        raise no_service(uri, error) from error
    stat = Stat(uri, etag_of(answer), answer["ContentLength"], answer["LastModified"])
    if max_bytes is not None and stat.length > max_bytes:
        answer["Body"].close()
        return TooLarge(stat)
    return Found(stat, answer["Body"].read())


def read_piece(uri: str, start: int, count: int) -> bytes:
    bucket, key = bucket_and_key(uri)

    def read() -> bytes:
        answer = client().get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + count - 1}")
        return answer["Body"].read()

    with explained(uri):
        return _retried(uri, read)


def _nothing_found(uri: str, error: ClientError) -> Look:
    code = error.response["Error"]["Code"]
    if code in ("304", "NotModified"):
        return Unchanged()
    if code in ("NoSuchKey", "404"):
        return Gone()
    message = f"{code}: {error.response['Error'].get('Message', '')}".rstrip(": ")
    if code == ARCHIVED:
        return Withheld(message, "archived", _stat(uri))
    if code.startswith(OF_KMS) and BUSY not in code:
        return Withheld(message, "no-key", _stat(uri))
    if code in OBJECT_FAULTS | OF_ITS_NAME:
        return Unreadable(message)
    raise explain(uri, error) from error


def _stat(uri: str) -> Stat | None:
    """An object's stat by HEAD, which needs neither the KMS key nor restoration; None where that is refused, too."""
    bucket, key = bucket_and_key(uri)
    try:
        answer = client().head_object(Bucket=bucket, Key=key)
    except (ClientError, BotoCoreError):
        return None
    return Stat(uri, etag_of(answer), answer["ContentLength"], answer["LastModified"])


def _quick(bucket: str) -> reader.Bucket | None:
    """The `reader` of a bucket; None where no connection can be made, and boto3 then says why."""
    with suppress(BotoCoreError):
        return _made_quick(connected(), bucket)
    return None


@cache
def _made_quick(connection: Connection, bucket: str) -> reader.Bucket:
    return reader.Bucket(bucket, lambda: reader.Endpoint(*endpoint_of(connection, bucket), credentials_of(connection)))
