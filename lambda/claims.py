"""The claim to start a refit: one invocation holds it at a time, by conditional writes of `<root>/triggers/refit.json`.

A claim without a step expires by itself. It stores the ids of requests that were served, to recognise a second delivery.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

Fields = dict[str, Any]

LOST_RACES = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey"}
MAX_REMEMBERED = 100


@dataclass(frozen=True)
class Claim:
    """The claim to add the step named by `token`, and its step once there is one. Times are seconds since the epoch."""

    token: str = ""
    cluster_id: str = ""
    claimed_at: float = 0
    expires_at: float = 0
    deliveries: list[str] = field(default_factory=list)
    """ids of the request that made the claim"""
    answered: list[str] = field(default_factory=list)
    """ids of earlier requests, each of which got a step"""
    step_id: str | None = None
    etag: str = ""

    @property
    def settled(self) -> list[str]:
        return (self.answered + (self.deliveries if self.step_id else []))[-MAX_REMEMBERED:]

    @property
    def is_held(self) -> bool:
        return self.step_id is None and time.time() < self.expires_at


def read(root: str) -> Claim | None:
    """The last claim, None without one; an empty one where the file cannot be parsed, so that it blocks no new claim."""
    try:
        answer = _s3().get_object(**_place(root))
    except _s3().exceptions.NoSuchKey:
        return None
    try:
        return replace(Claim(**json.loads(answer["Body"].read())), etag=answer["ETag"])
    except (ValueError, TypeError):
        return Claim(etag=answer["ETag"])


def take(root: str, guard_seconds: int, cluster_id: str, last: Claim | None, ids: list[str]) -> Claim | None:
    """Writes a claim in place of the `last` one and returns it; None where another invocation was faster."""
    now = time.time()
    mine = Claim(uuid4().hex[:12], cluster_id, now, now + guard_seconds, ids, last.settled if last else [])
    try:
        return _write(root, mine, {"IfMatch": last.etag} if last else {"IfNoneMatch": "*"})
    except ClientError as error:
        if error.response["Error"]["Code"] not in LOST_RACES:
            raise
    # A write whose answer was lost is repeated by boto3, and then loses against itself.
    found = read(root)
    return found if found and found.token == mine.token else None


def note(root: str, claim: Claim) -> Claim:
    """Writes the claim with its outcome. A failure is only logged, as the step's name holds the same token."""
    try:
        return _write(root, claim, {"IfMatch": claim.etag})
    except (ClientError, BotoCoreError) as error:
        print(json.dumps({"action": "note-claim", "token": claim.token, "failed": str(error)}))
        return claim


def _write(root: str, claim: Claim, condition: Fields) -> Claim:
    body = {name: value for name, value in asdict(claim).items() if name != "etag"}
    key = os.environ.get("FRUITPIPE_KMS_KEY")
    encrypted: Fields = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    answer = _s3().put_object(**_place(root), Body=json.dumps(body, indent=2).encode(), **condition, **encrypted)
    return replace(claim, etag=answer["ETag"])


def _place(root: str) -> Fields:
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": f"{prefix}/triggers/refit.json".removeprefix("/")}


@cache
def _s3() -> Any:
    return boto3.client("s3", config=Config(retries={"mode": "standard"}, connect_timeout=5, read_timeout=10))
