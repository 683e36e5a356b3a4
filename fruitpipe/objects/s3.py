"""An S3 bucket, or whatever speaks its protocol (AWS_ENDPOINT_URL_S3), by boto3; what is merely read comes by `fetch`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from fruitpipe.errors import AccessDenied, Conflict, FruitpipeError, NotFound, PlatformFault
from fruitpipe.objects import encryption, listing, reader, s3_refusals, s3_removal
from fruitpipe.objects.stat import Found, Gone, Link, Look, Stat, TooLarge, Unchanged, Unreadable, Upload, Withheld, etag

if TYPE_CHECKING:
    from datetime import datetime

    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

_MAKING = threading.Lock()
_ASKING = threading.Lock()
BODY_ATTEMPTS = 4
CONNECTIONS = 32
OF_AWS = ".amazonaws."  # in the name of each of its servers, in any public partition
REGION = "x-amz-bucket-region"
BROKEN_BODIES = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}  # storage classes; what Intelligent-Tiering has archived only a GET tells
# One object's own troubles: its permissions, its key, its storage class. Everything else is the platform's.
ARCHIVED, OF_KMS, BUSY = "InvalidObjectState", "KMS.", "Throttling"
OBJECT_FAULTS = {
    "AccessDenied",
    "403",
    "Forbidden",
    "InvalidObjectState",
    "InvalidRequest",
}  # the last: encrypted with a key of its own
CREDENTIAL_FAULTS = {"ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired"}
LOST_RACES = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


def look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    bucket, key = _bucket_and_key(uri)
    quick = _quick(bucket)
    if not (quick and quick.answers(key)):
        return _look(uri, known_etag, max_bytes)
    if seen := quick.get(key, _quoted(known_etag) if known_etag else None, max_bytes):
        return seen
    found = _look(uri, known_etag, max_bytes)
    if not isinstance(found, Unreadable):
        quick.failed()
    return found


def _look(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    for _ in range(BODY_ATTEMPTS):
        try:
            return _look_once(uri, known_etag, max_bytes)
        except BROKEN_BODIES as error:  # boto3 retries requests, but not a body that breaks off
            broken = error
    raise PlatformFault(f"{uri}: the connection broke off {BODY_ATTEMPTS} times ({broken}); try again later")


def list_all(uri: str, shut: Callable[[str], None] | None = None) -> Iterator[Stat]:  # noqa: ARG001 - a listing is refused whole
    bucket, key = _bucket_and_key(uri)
    prefix = f"{key}/" if key else ""  # without the slash the listing would page through siblings whose names go on
    with _explained(uri):
        below = listing.listed(partial(_page, bucket, prefix), partial(_folders, bucket, prefix))
        yield from (stat for stat in below if not stat.path.endswith("/"))
        if key:
            yield from (stat for stat in _stats(bucket, _list(bucket, Prefix=key, MaxKeys=1)) if stat.path == uri)


def children(uri: str) -> list[str]:
    bucket, key = _bucket_and_key(uri)
    prefix = f"{key}/" if key else ""
    found: list[str] = []
    with _explained(uri):
        for page in _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
            found += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            found += [entry["Key"] for entry in page.get("Contents", ()) if entry["Key"] != prefix]
    return [child.removeprefix(prefix) for child in found]


def write(uri: str, body: bytes, if_absent: bool, if_etag: str | None) -> str:
    bucket, key = _bucket_and_key(uri)
    condition: Any = {"IfNoneMatch": "*"} if if_absent else {}
    if if_etag:
        condition = {"IfMatch": _quoted(if_etag)}
    with _explained(uri):
        return _etag(_client().put_object(Bucket=bucket, Key=key, Body=body, **condition, **encryption.request()))


def add(uri: str, body: bytes) -> None:
    write(uri, body, if_absent=False, if_etag=None)


def copy(uri: str, to: str) -> None:
    bucket, key = _bucket_and_key(uri)
    to_bucket, to_key = _bucket_and_key(to)
    with _explained(to):
        _client().copy({"Bucket": bucket, "Key": key}, to_bucket, to_key, ExtraArgs=encryption.request() or None)


def delete(uri: str) -> None:
    bucket, key = _bucket_and_key(uri)
    with _explained(uri):
        _client().delete_object(Bucket=bucket, Key=key)


def delete_all(uri: str) -> int:
    keys = [_bucket_and_key(stat.path) for stat in list_all(uri)]
    with _explained(uri):
        s3_removal.remove(_client(), _bucket_and_key(uri)[0], [{"Key": key} for _, key in keys])
    return len(keys)


def credentials(uri: str) -> dict[str, str]:
    """Keys and region as boto3 finds them, under the names that they have in the environment, for other readers of a bucket."""
    with _explained(uri):
        connection = _connected()
        keys, region = _keys(connection)(), connection.session.region_name or "eu-west-1"
    with suppress(ClientError, BotoCoreError):  # a role may read what it is not told the region of
        endpoint, own = _endpoint(connection, _bucket_and_key(uri)[0])
        region = own if OF_AWS in endpoint else region
    named = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key, "AWS_SESSION_TOKEN": keys.token}
    return {name: key for name, key in named.items() if key} | {"AWS_REGION": region}


def region(uri: str) -> str:
    """As the bucket's location says it: nothing for the oldest region, EU for the oldest in Europe."""
    with _explained(uri):
        location: str | None = _client().get_bucket_location(Bucket=_bucket_and_key(uri)[0]).get("LocationConstraint")
    return {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(location, str(location))


def store_time(uri: str) -> datetime:
    with _explained(uri):
        try:
            answer: Any = _client().head_bucket(Bucket=_bucket_and_key(uri)[0])
        except ClientError as error:
            answer = error.response
            if answer["Error"]["Code"] not in OBJECT_FAULTS:  # a refusal, which a clock that is far off may be the reason of
                raise
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def drop_version(uri: str, etag: str) -> None:
    bucket, key = _bucket_and_key(uri)
    _, _, version = etag.partition("@")
    if version:  # else what was written later took its place
        with _explained(uri):
            _client().delete_object(Bucket=bucket, Key=key, VersionId=version)


def has_versions(uri: str) -> bool:
    bucket, key = _bucket_and_key(uri)
    with _explained(uri):
        if not _is_versioned(bucket):
            return not isinstance(look(uri, None, 0), Gone)
        return any(found["Key"] == key for found in _versions(bucket, key))


def erase(uri: str) -> int:
    bucket, key = _bucket_and_key(uri)
    with _explained(uri):
        if not _is_versioned(bucket):
            there = has_versions(uri)
            delete(uri)
            return int(there)
        return _remove(bucket, [found for found in _versions(bucket, key) if found["Key"] == key])


def purge(uri: str) -> int:
    bucket, key = _bucket_and_key(uri)
    with _explained(uri):
        if not _is_versioned(bucket):
            return 0
        below = (found for found in _versions(bucket, key) if not key or f"{found['Key']}/".startswith(f"{key}/"))
        return _remove(bucket, [found for found in below if not found["IsLatest"] or "Size" not in found])


def ask(operation: str, bucket: str) -> dict[str, Any]:
    """What S3 answers to an operation that takes a bucket alone. Raises ClientError and BotoCoreError as they are."""
    answer: dict[str, Any] = getattr(_client(), xform_name(operation))(Bucket=bucket)
    return answer


def link(uri: str) -> Link | None:  # noqa: ARG001 - an object has one key
    return None


def uploads(uri: str) -> Iterator[Upload]:
    bucket, key = _bucket_and_key(uri)
    try:
        for page in _client().get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
            for found in page.get("Uploads", ()):
                if not key or f"{found['Key']}/".startswith(f"{key}/"):
                    yield Upload(f"s3://{bucket}/{found['Key']}", found["UploadId"], found["Initiated"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotImplemented":  # by a server that takes no uploads in parts
            raise _explain(uri, error) from error
    except BotoCoreError as error:
        raise _no_service(uri, error) from error


def abort(upload: Upload) -> None:
    bucket, key = _bucket_and_key(upload.path)
    with _explained(upload.path):
        _client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload.id)


def _is_versioned(bucket: str) -> bool:
    """Whether there may be versions: also where versioning was on and is suspended now."""
    return bool(_client().get_bucket_versioning(Bucket=bucket).get("Status"))


def _versions(bucket: str, prefix: str) -> Iterator[Any]:
    """Every version and delete marker (that has no Size) of the keys that begin with `prefix`."""
    for page in _client().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Versions", ())
        yield from page.get("DeleteMarkers", ())


def _remove(bucket: str, versions: list[Any]) -> int:
    """The delete markers last: what was deleted never shows again in between."""
    for markers in (False, True):
        those = [found for found in versions if ("Size" not in found) is markers]
        s3_removal.remove(_client(), bucket, [{"Key": found["Key"], "VersionId": found["VersionId"]} for found in those])
    return len(versions)


class _Connection(NamedTuple):
    """One source of credentials, for boto3 and for `fetch`."""

    session: boto3.Session
    client: S3Client


def _client() -> S3Client:
    return _connected().client


def _connected() -> _Connection:
    with _MAKING:  # boto3's session is not safe for threads, the client is; many readers ask at once
        return _connection()


@cache
def _connection() -> _Connection:
    retries: Any = {"mode": "adaptive", "max_attempts": 10}
    config = Config(max_pool_connections=CONNECTIONS, retries=retries, connect_timeout=10, read_timeout=30)
    session = boto3.Session()
    return _Connection(session, session.client("s3", config=config))


def _quick(bucket: str) -> reader.Bucket | None:
    """The quick way to a bucket's objects; None where there is not even boto3's, who is to say why."""
    with suppress(BotoCoreError):
        return _made_quick(_connected(), bucket)
    return None


@cache
def _made_quick(connection: _Connection, bucket: str) -> reader.Bucket:
    return reader.Bucket(bucket, lambda: reader.Endpoint(*_endpoint(connection, bucket), _keys(connection)))


def _keys(connection: _Connection) -> Callable[[], ReadOnlyCredentials]:
    """What gives keys that are valid now, for any thread. Raises NoCredentialsError."""
    with _ASKING:
        found = connection.session.get_credentials()
    if found is None:
        raise NoCredentialsError
    return found.get_frozen_credentials


def _endpoint(connection: _Connection, bucket: str) -> tuple[str, str]:
    """URL and region of the bucket itself: boto3 follows S3's redirects there, and asks no node for its region."""
    endpoint, region = connection.client.meta.endpoint_url, connection.client.meta.region_name
    with _ASKING:  # apart from the client's own lock, for which nobody is to wait while S3 is asked
        return _own_endpoint(connection, bucket) if OF_AWS in endpoint else (endpoint, region)


@cache
def _own_endpoint(connection: _Connection, bucket: str) -> tuple[str, str]:
    """Raises ClientError where S3 does not tell the region; it does so too where it refuses the rest."""
    session, client = connection
    try:
        answer: Any = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
        if REGION not in answer["ResponseMetadata"].get("HTTPHeaders", {}):
            raise
    own = answer["ResponseMetadata"]["HTTPHeaders"].get(REGION, client.meta.region_name)
    there = client if own == client.meta.region_name else session.client("s3", region_name=own)
    return there.meta.endpoint_url, own


def _look_once(uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
    bucket, key = _bucket_and_key(uri)
    condition: Any = {"IfNoneMatch": _quoted(known_etag)} if known_etag else {}
    try:
        answer = _client().get_object(Bucket=bucket, Key=key, **condition)
    except ClientError as error:
        return _nothing_found(uri, error)
    except BotoCoreError as error:
        raise _no_service(uri, error) from error
    stat = Stat(uri, _etag(answer), answer["ContentLength"], answer["LastModified"])
    if max_bytes is not None and stat.length > max_bytes:
        answer["Body"].close()
        return TooLarge(stat)
    return Found(stat, answer["Body"].read())


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
    if code in OBJECT_FAULTS:
        return Unreadable(message)
    raise _explain(uri, error) from error


def _stat(uri: str) -> Stat | None:
    """What S3 tells of an object without its bytes, which needs neither key nor restoration; None where it is refused, too."""
    bucket, key = _bucket_and_key(uri)
    try:
        answer = _client().head_object(Bucket=bucket, Key=key)
    except (ClientError, BotoCoreError):
        return None
    return Stat(uri, _etag(answer), answer["ContentLength"], answer["LastModified"])


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _explain(uri, error) from error
    except BotoCoreError as error:
        raise _no_service(uri, error) from error


def _explain(uri: str, error: ClientError) -> FruitpipeError:
    """The one place where S3's error codes become ours."""
    code, bucket = error.response["Error"]["Code"], _bucket_and_key(uri)[0]
    said = error.response["Error"].get("Message", "")
    if code in LOST_RACES:
        return Conflict(f"{uri}: was written by somebody else first")
    if code == "NoSuchBucket":
        return NotFound(f"{uri}: there is no bucket {bucket}; check the name and the account")
    if code in ("NoSuchKey", "404"):
        return NotFound(f"{uri}: there is no such object")
    if code in CREDENTIAL_FAULTS:
        return AccessDenied(f"{uri}: the credentials are not valid ({code}); renew them and start again")
    if code in OBJECT_FAULTS and not s3_refusals.about_checksums(_client(), error):
        return AccessDenied(f"{uri}: {s3_refusals.denied(_client(), bucket, error)}")
    why = s3_refusals.about_checksums(_client(), error)
    return PlatformFault(f"{uri}: {why or f'S3 answered {code} ({said}) after all retries'}")


def _no_service(uri: str, error: BotoCoreError) -> FruitpipeError:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AccessDenied(f"{uri}: no AWS credentials were found; set a profile, a role or AWS_ACCESS_KEY_ID")
    return PlatformFault(f"{uri}: S3 could not be reached ({error})")


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _list(bucket: str, **options: Any) -> Any:
    """The answer to one request for at most 1,000 keys."""
    return _client().list_objects_v2(Bucket=bucket, **options)


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
        is_archived = entry.get("StorageClass") in ARCHIVES
        yield Stat(f"s3://{bucket}/{entry['Key']}", entry["ETag"].strip('"'), entry["Size"], entry["LastModified"], is_archived)


def _quoted(etag: str) -> str:
    return f'"{etag.partition("@")[0]}"'


def _etag(answer: Any) -> str:
    return etag(answer["ETag"], answer.get("VersionId"))
