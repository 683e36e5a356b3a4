"""Amazon S3 Vectors by boto3: the requests that keep an index, their errors as FruitpipeErrors. No other module asks it.

`AWS_ENDPOINT_URL_S3VECTORS` names another server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fruitpipe.errors import AccessDenied, FruitpipeError, NotFound, PlatformFault, WrongUsage
from fruitpipe.objects import encryption, s3_errors

AT_ONCE = 500  # vectors of a PutVectors, keys of a DeleteVectors
PAGE = 1000  # keys of a ListVectors
MISSING = "NotFoundException"
DENIED = ("AccessDeniedException", "AccessDenied")
PLAIN = ("path", "digest")  # metadata that no query filters by: they do not count against the 2 KB of those that may


@cache
def client() -> Any:
    """boto3's client for S3 Vectors."""
    retries: Any = {"mode": "adaptive", "max_attempts": 10}
    return boto3.Session().client("s3vectors", config=Config(retries=retries, connect_timeout=10, read_timeout=60))


def region() -> str:
    """The region that is asked, by boto3's settings. Raises PlatformFault where none is set."""
    with explained("s3vectors://"):
        return str(client().meta.region_name)


class Index(NamedTuple):
    """A vector index by the names of its bucket and its own."""

    bucket: str
    name: str

    def exists(self) -> bool:
        """Raises AccessDenied."""
        try:
            self._ask("get_index")
        except NotFound:
            return False
        return True

    def create(self, dimension: int) -> None:
        """For vectors of `dimension` numbers, by Euclidean distance. Raises NotFound where there is no such vector bucket."""
        self._ask(
            "create_index",
            dataType="float32",
            dimension=dimension,
            distanceMetric="euclidean",
            metadataConfiguration={"nonFilterableMetadataKeys": list(PLAIN)},
            **_encryption(),
        )

    def listed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The key and the metadata of each vector."""
        more: dict[str, str] = {}
        while True:
            answer = self._ask("list_vectors", maxResults=PAGE, returnMetadata=True, **more)
            yield from ((one["key"], one.get("metadata", {})) for one in answer["vectors"])
            if not answer.get("nextToken"):
                return
            more = {"nextToken": answer["nextToken"]}

    def put(self, vectors: Sequence[dict[str, Any]]) -> None:
        """Writes vectors, each in place of what has its key; at most AT_ONCE."""
        self._ask("put_vectors", vectors=list(vectors))

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes vectors by their keys, however many."""
        for first in range(0, len(keys), AT_ONCE):
            self._ask("delete_vectors", keys=list(keys[first : first + AT_ONCE]))

    def drop(self) -> None:
        """Deletes the whole index; one that is not there is as good as deleted."""
        try:
            self._ask("delete_index")
        except NotFound:
            return

    def _ask(self, request: str, **given: Any) -> Any:
        with explained(f"s3vectors://{self.bucket}/{self.name}"):
            return getattr(client(), request)(vectorBucketName=self.bucket, indexName=self.name, **given)


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Translates errors of boto3 in the block into FruitpipeErrors that name `uri`."""
    try:
        yield
    except ClientError as error:
        raise _explain(uri, error) from error
    except BotoCoreError as error:
        raise s3_errors.no_service(uri, error) from error


def _explain(uri: str, error: ClientError) -> FruitpipeError:
    code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == MISSING:
        return NotFound(f"{uri}: there is no such vector bucket or index; aws s3vectors create-vector-bucket makes a bucket")
    if code in DENIED:
        return AccessDenied(f"{uri}: access is denied; grant s3vectors:{error.operation_name} on it")
    return PlatformFault(f"{uri}: S3 Vectors answered {code} ({said}) after all retries")


def _encryption() -> dict[str, Any]:
    """By the key of FRUITPIPE_KMS_KEY; without it as the vector bucket has it."""
    key = os.environ.get(encryption.VARIABLE)
    if key and not key.startswith("arn:"):
        raise WrongUsage(f"{encryption.VARIABLE}={key}: a vector index takes a key by its ARN only")
    return {"encryptionConfiguration": {"sseType": "aws:kms", "kmsKeyArn": key}} if key else {}
