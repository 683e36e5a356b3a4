"""The KMS key for writes to S3, where a bucket demands that each request names one.

One setting for all that writes, FRUITPIPE_KMS_KEY: boto3, S3A and deltalake, on driver and workers, and the functions on AWS.
Reads need no key named. Without the setting the bucket's own default encryption holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

VARIABLE = "FRUITPIPE_KMS_KEY"


def use(key: str) -> None:
    """Has this process, and those that it starts, encrypt with `key`: an ARN, an id or an alias; empty for none."""
    if key:
        os.environ[VARIABLE] = key


def request() -> dict[str, Any]:
    """boto3's arguments for a PUT or a copy with the key; none without it. The bucket decides whether bucket keys are used."""
    key = os.environ.get(VARIABLE)
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def deltalake() -> dict[str, str]:
    """The storage options of deltalake for the same."""
    key = os.environ.get(VARIABLE)
    return {"aws_server_side_encryption": "aws:kms", "aws_sse_kms_key_id": key} if key else {}


def spark(environment: Mapping[str, str]) -> dict[str, str]:
    """Spark's settings: for S3A, and for the workers' Python, which a cluster starts with an environment of its own."""
    key = environment.get(VARIABLE)
    if not key:
        return {}
    return {
        "spark.hadoop.fs.s3a.encryption.algorithm": "SSE-KMS",
        "spark.hadoop.fs.s3a.encryption.key": key,
        f"spark.executorEnv.{VARIABLE}": key,
    }
