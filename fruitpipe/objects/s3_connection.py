"""The S3 connection of a process: boto3's client, and the credentials and endpoints that `reader` takes from it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

_MAKING = threading.Lock()
_ASKING = threading.Lock()
CONNECTIONS = 256  # that are kept open, as many as the most listers
OF_AWS = ".amazonaws."  # in the name of each of its servers, in any public partition
REGION = "x-amz-bucket-region"
DOCUMENT = "Document"  # in the answers of other servers to ASKED, the name of what was answered
ASKED = ("GetBucketVersioning", "GetBucketLogging", "ListBucketInventoryConfigurations")  # S3 says "off" by an empty document


class Connection(NamedTuple):
    """One source of credentials, for boto3's client and for `reader`."""

    session: boto3.Session
    client: S3Client


def client() -> S3Client:
    """boto3's client for S3, the same one for all threads."""
    return connected().client


def connected() -> Connection:
    """The connection, made when it is first asked for."""
    with _MAKING:  # boto3's session is not safe for threads, the client is; many readers ask at once
        return connection()


@cache
def connection() -> Connection:
    """Makes the connection; called by `connected` alone."""
    retries: Any = {"mode": "adaptive", "max_attempts": 10}
    config = Config(max_pool_connections=CONNECTIONS, retries=retries, connect_timeout=10, read_timeout=30)
    session = boto3.Session()
    made = session.client("s3", config=config)
    for operation in ASKED if OF_AWS not in made.meta.endpoint_url else ():
        made.meta.events.register(f"before-parse.s3.{operation}", _note_document)
    return Connection(session, made)


def _note_document(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Adds the name of the XML document, which botocore does not compare: any other reads as one that is empty."""
    found = re.search(rb"<(?:\w+:)?([A-Za-z]\w*)", response_dict["body"])
    customized_response_dict[DOCUMENT] = found[1].decode() if found else ""


def credentials_of(connection: Connection) -> Callable[[], ReadOnlyCredentials]:
    """A function that returns credentials that are valid now, for any thread. Raises NoCredentialsError."""
    with _ASKING:
        found = connection.session.get_credentials()
    if found is None:
        raise NoCredentialsError
    return found.get_frozen_credentials


def endpoint_of(connection: Connection, bucket: str) -> tuple[str, str]:
    """URL and region of the bucket itself, to which S3 would redirect boto3. Raises ClientError."""
    endpoint, region = connection.client.meta.endpoint_url, connection.client.meta.region_name
    with _ASKING:  # apart from the client's own lock, for which nobody is to wait while S3 is asked
        return _own_endpoint(connection, bucket) if OF_AWS in endpoint else (endpoint, region)


@cache
def _own_endpoint(connection: Connection, bucket: str) -> tuple[str, str]:
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
