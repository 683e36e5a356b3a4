"""Explains why an S3 server refuses a write, where its code says little: a KMS key, or a checksum that it does not know."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from fruitpipe.objects import encryption

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OF_AWS = ".amazonaws."  # in the name of each of its servers, in any public partition
WRITES = {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart"}
# What servers that are not AWS's answer to a checksum that they do not know, as boto3 sends one with each write from 1.36 on.
CHECKSUM_FAULTS = {"MissingContentLength", "XAmzContentSHA256Mismatch", "MalformedTrailerError", "NotImplemented", "BadDigest"}
CHECKSUM_WORDS = ("checksum", "trailer", "aws-chunked", "content-sha256", "content-length")
# In the condition of a bucket's policy that refuses a request without the header.
KEY_DEMANDED = "s3:x-amz-server-side-encryption"


def about_checksums(client: S3Client, error: ClientError) -> str:
    """A remedy where a server that is not AWS's refuses a write for its checksum; else empty."""
    code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    sent = getattr(client.meta.config, "request_checksum_calculation", "when_supported") == "when_supported"
    told = code in CHECKSUM_FAULTS or any(word in said.lower() for word in CHECKSUM_WORDS)
    if not (sent and told and error.operation_name in WRITES) or OF_AWS in client.meta.endpoint_url:
        return ""
    cure = "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required and start again"
    return f"this server does not know S3's newer checksums ({code}: {said}); {cure}"


def denied(client: S3Client, bucket: str, error: ClientError) -> str:
    """What is denied, and what to do: another thing where it is for a key of KMS, as S3's words or the bucket's policy tell."""
    cure = _about_the_key(client, bucket, error) or f"grant list, read and write on the bucket {bucket}"
    return f"access is denied ({error.response['Error']['Code']}); {cure}"


def _about_the_key(client: S3Client, bucket: str, error: ClientError) -> str:
    if "kms:" in error.response["Error"].get("Message", ""):
        return "grant kms:GenerateDataKey and kms:Decrypt on the key of KMS that the bucket's objects are encrypted with"
    if error.operation_name not in WRITES or KEY_DEMANDED not in _policy(client, bucket):
        return ""
    if named := os.environ.get(encryption.VARIABLE):
        return f"the bucket's policy refuses {encryption.VARIABLE}={named}: name the key that its condition demands"
    return f"the bucket's policy demands a key of KMS: name it, {encryption.VARIABLE}=arn:aws:kms:… (--kms-key)"


def _policy(client: S3Client, bucket: str) -> str:
    """The bucket's policy, as JSON; empty where there is none, or none that may be read."""
    with suppress(ClientError, BotoCoreError):
        return str(client.get_bucket_policy(Bucket=bucket)["Policy"])
    return ""
