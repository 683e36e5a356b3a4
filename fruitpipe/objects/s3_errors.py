"""Translates S3's errors into FruitpipeErrors. No other module does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from fruitpipe.errors import AccessDenied, Conflict, FruitpipeError, NotFound, PlatformFault
from fruitpipe.objects import s3_refusals
from fruitpipe.objects.s3_connection import client
from fruitpipe.objects.uris import bucket_and_key

OBJECT_FAULTS = {
    "AccessDenied",
    "403",
    "Forbidden",
    "InvalidObjectState",
    "InvalidRequest",
}  # the last: encrypted with a key of its own
CREDENTIAL_FAULTS = {"ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired"}
NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
IMPOSSIBLE = ("Invalid bucket name", "Invalid length for parameter Key")  # as botocore begins to say it, without asking S3
LOST_RACES = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Translates errors of boto3 in the block into FruitpipeErrors that name `uri`."""
    try:
        yield
    except ClientError as error:
        raise explain(uri, error) from error
    except BotoCoreError as error:
        raise no_service(uri, error) from error


def explain(uri: str, error: ClientError) -> FruitpipeError:
    """The FruitpipeError for an error that S3 answered."""
    code, bucket = error.response["Error"]["Code"], bucket_and_key(uri)[0]
    said = error.response["Error"].get("Message", "")
    if code in LOST_RACES:
        return Conflict(f"{uri}: was written by somebody else first")
    if code in NO_BUCKET:
        return NotFound(f"{uri}: there is no bucket {bucket}; check the name and the account")
    if code in ("NoSuchKey", "404"):
        return NotFound(f"{uri}: there is no such object")
    if code in CREDENTIAL_FAULTS:
        return AccessDenied(f"{uri}: the credentials are not valid ({code}); renew them and start again")
    if code in OBJECT_FAULTS and not s3_refusals.about_checksums(client(), error):
        return AccessDenied(f"{uri}: {s3_refusals.denied(client(), bucket, error)}")
    why = s3_refusals.about_checksums(client(), error)
    return PlatformFault(f"{uri}: {why or f'S3 answered {code} ({said}) after all retries'}")


def no_service(uri: str, error: BotoCoreError) -> FruitpipeError:
    """The FruitpipeError for a request that S3 did not answer."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AccessDenied(f"{uri}: no AWS credentials were found; set a profile, a role or AWS_ACCESS_KEY_ID")
    if isinstance(error, ParamValidationError) and str(error.kwargs.get("report")).startswith(IMPOSSIBLE):
        return NotFound(f"{uri}: there can be no bucket or object of this name; correct it")
    return PlatformFault(f"{uri}: S3 could not be reached ({error})")
