"""An S3 bucket, or a server that speaks its protocol (AWS_ENDPOINT_URL_S3), as a store of objects.

All requests to S3 by boto3 go through the modules `s3_…` beside this one, its parts, which only `objects` imports.
"""

from __future__ import annotations

from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from fruitpipe.objects import encryption, media_types, s3_removal
from fruitpipe.objects.s3_connection import OF_AWS, client, connected, credentials_of, endpoint_of
from fruitpipe.objects.s3_errors import OBJECT_FAULTS, explained
from fruitpipe.objects.s3_etags import etag_of, quoted
from fruitpipe.objects.s3_listing import children, list_all
from fruitpipe.objects.s3_look import look, read_piece
from fruitpipe.objects.s3_versions import abort, drop_version, erase, has_versions, purge, uploads
from fruitpipe.objects.stat import Link
from fruitpipe.objects.uris import bucket_and_key

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "abort",
    "add",
    "ask",
    "check_drive",
    "children",
    "copy",
    "credentials",
    "delete",
    "delete_all",
    "drop_version",
    "erase",
    "has_versions",
    "link",
    "list_all",
    "look",
    "purge",
    "read_piece",
    "region",
    "server",
    "store_time",
    "takes_links",
    "uploads",
    "write",
    "write_for_browsers",
]


def check_drive(uri: str) -> None:
    """Nothing to ask: what S3 promises, it keeps."""


def takes_links(uri: str) -> bool:  # noqa: ARG001
    return True  # none is needed: S3 writes on condition


def write(uri: str, body: bytes, if_absent: bool, if_etag: str | None) -> str:
    bucket, key = bucket_and_key(uri)
    said: Any = media_types.request(key) | encryption.request()
    if if_etag:
        said |= {"IfMatch": quoted(if_etag)}
    elif if_absent:
        said |= {"IfNoneMatch": "*"}
    with explained(uri):
        return etag_of(client().put_object(Bucket=bucket, Key=key, Body=body, **said))


def write_for_browsers(uri: str, body: bytes, lasts: bool) -> None:
    bucket, key = bucket_and_key(uri)
    said: Any = media_types.request(key) | media_types.caching(lasts)
    with explained(uri):
        client().put_object(Bucket=bucket, Key=key, Body=body, **said)


def add(uri: str, body: bytes) -> None:
    write(uri, body, if_absent=False, if_etag=None)


def copy(uri: str, to: str) -> None:
    bucket, key = bucket_and_key(uri)
    to_bucket, to_key = bucket_and_key(to)
    with explained(to):
        client().copy({"Bucket": bucket, "Key": key}, to_bucket, to_key, ExtraArgs=encryption.request() or None)


def delete(uri: str) -> None:
    bucket, key = bucket_and_key(uri)
    with explained(uri):
        client().delete_object(Bucket=bucket, Key=key)


def delete_all(uri: str) -> int:
    keys = [bucket_and_key(stat.path) for stat in list_all(uri)]
    with explained(uri):
        s3_removal.remove(client(), bucket_and_key(uri)[0], [{"Key": key} for _, key in keys])
    return len(keys)


def credentials(uri: str) -> dict[str, str]:
    """Keys and region as boto3 finds them, under the names that they have in the environment, for other readers of a bucket."""
    with explained(uri):
        connection = connected()
        keys, region = credentials_of(connection)(), connection.session.region_name or "eu-west-1"
    with suppress(ClientError, BotoCoreError):  # a role may read what it is not told the region of
        endpoint, own = endpoint_of(connection, bucket_and_key(uri)[0])
        region = own if OF_AWS in endpoint else region
    named = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key, "AWS_SESSION_TOKEN": keys.token}
    return {name: key for name, key in named.items() if key} | {"AWS_REGION": region}


def region(uri: str) -> str:
    """As the bucket's location says it: nothing for the oldest region, EU for the oldest in Europe."""
    with explained(uri):
        location: str | None = client().get_bucket_location(Bucket=bucket_and_key(uri)[0]).get("LocationConstraint")
    return {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(location, str(location))


def server() -> str:
    endpoint: str = client().meta.endpoint_url
    return "AWS" if OF_AWS in endpoint else endpoint


def store_time(uri: str) -> datetime:
    with explained(uri):
        try:
            answer: Any = client().head_bucket(Bucket=bucket_and_key(uri)[0])
        except ClientError as error:
            answer = error.response
            if answer["Error"]["Code"] not in OBJECT_FAULTS:  # a refusal, which a clock that is far off may be the reason of
                raise
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def ask(operation: str, bucket: str, **more: str) -> dict[str, Any]:
    """What S3 answers to an operation on a bucket. more: its other parameters. Raises ClientError, BotoCoreError as they are."""
    answer: dict[str, Any] = getattr(client(), xform_name(operation))(Bucket=bucket, **more)
    return answer


def link(uri: str) -> Link | None:  # noqa: ARG001 - an object has one key
    return None
