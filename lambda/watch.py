"""Tells CloudWatch, every few minutes, whether the stream lives, how long a manifest has waited, and how many images fail.

All of it stands under the root already: the lease, the manifests, the checkpoints that say which of them were taken, and Delta's
log, whose statistics count the rows of each new file and those with an error. So the stream itself needs no way to CloudWatch.

Environment: FRUITPIPE_ROOT (s3://bucket/prefix) and FRUITPIPE_STACK, the dimension of the metrics.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

NAMESPACE = "Fruitpipe"
ERRORS_OVER = timedelta(hours=1)
COMMITS = 400  # more than an hour of them, at one every ten seconds
FOLDER_OF_A_DAY = "events/%Y/%m/%d/"
END_BYTES = 1 << 20  # some 5,000 entries of a checkpoint's list of files, which grows by all that the stream ever takes


def handler(_event: Any, _context: Any) -> dict[str, float]:
    """The entry point of the Lambda function: what was measured, by metric."""
    root, now = _root(), datetime.now(UTC)
    measured = {
        "StreamAlive": float(is_alive(root, now)),
        "WaitingSeconds": waiting_seconds(root, now),
        "ErrorShare": 100 * error_share(root, now - ERRORS_OVER),
    }
    dimensions = [{"Name": "Stack", "Value": os.environ["FRUITPIPE_STACK"]}]
    units = {"StreamAlive": "None", "WaitingSeconds": "Seconds", "ErrorShare": "Percent"}
    data = [
        {"MetricName": name, "Value": value, "Unit": units[name], "Dimensions": dimensions} for name, value in measured.items()
    ]
    boto3.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)
    print(json.dumps({"action": "watch", **measured}))
    return measured


def is_alive(root: str, now: datetime) -> bool:
    """Whether somebody holds the root's lease."""
    try:
        record = json.loads(_read(f"{root}/writer.json"))
    except _s3().exceptions.NoSuchKey:
        return False
    return datetime.fromisoformat(record["expires_at"]) > now


def waiting_seconds(root: str, now: datetime) -> float:
    """The age of the oldest manifest since yesterday that is in no committed batch; 0 where none is.

    Spark takes manifests in order of their modification, so those wait that are later than the last one taken. S3's times have
    whole seconds: one of the same second counts as taken. One that an erasure rewrote counts as new until a later one is taken.
    Four requests, and one for every thousand manifests of a day.
    """
    taken_until = _taken_until(f"{root}/checkpoints/ingest")
    days = [f"{root}/{(now - timedelta(days=ago)).strftime(FOLDER_OF_A_DAY)}" for ago in (1, 0)]
    times = [one["LastModified"] for day in days for one in _listed(day) if one["Key"].endswith(".jsonl")]
    waiting = [time for time in times if int(time.timestamp()) * 1000 > taken_until]
    return max(0.0, (now - min(waiting)).total_seconds()) if waiting else 0.0


def error_share(root: str, since: datetime) -> float:
    """Of the rows in the files that Delta added since, the share that has an error."""
    rows = errors = 0
    log = f"{root}/features/_delta_log/"
    for entry in _listed(log, f"{max(0, _last_checkpoint(log) - COMMITS):020d}"):
        if entry["LastModified"] >= since and entry["Key"].endswith(".json"):
            for added in _added(_read(f"s3://{_place(root)[0]}/{entry['Key']}")):
                rows += added["numRecords"]
                errors += added["numRecords"] - added.get("nullCount", {}).get("error", 0)
    return errors / rows if rows else 0.0


def _taken_until(checkpoint: str) -> int:
    """When the last manifest in a committed batch was modified, in milliseconds since 1970; -1 where there is none.

    `commits/N` says that batch N is done, `offsets/N` how far its first source, that of the manifests, had come then; what it
    took M-th is in `sources/0/M`. Every tenth is `M.compact` and repeats all before it, and in time Spark removes those.
    """
    commits = _numbered(f"{checkpoint}/commits/")
    if not commits:
        return -1
    _, of_manifests, *_ = _last_lines(f"{checkpoint}/offsets/{max(commits)}")
    offset = of_manifests.get("logOffset", -1)
    lists = _numbered(f"{checkpoint}/sources/0/")
    number = min((number for number in lists if number >= offset), default=None)
    entries = [] if number is None else _last_lines(f"{checkpoint}/sources/0/{lists[number]}")
    return max((entry["timestamp"] for entry in entries if entry["batchId"] <= offset), default=-1)


def _numbered(folder: str) -> dict[int, str]:
    """The names of a folder's files that are numbers, by number."""
    names = [one["Key"].rpartition("/")[2] for one in _listed(folder)]
    return {int(number): name for name in names if (number := name.removesuffix(".compact")).isdigit()}


def _last_lines(uri: str) -> list[dict[str, Any]]:
    """The JSON of the lines near the end of a file of Spark's, oldest first; `-` stands for a source that had nothing yet.

    Without the first of them: it is the version of the format, or cut.
    """
    lines = _read(uri, Range=f"bytes=-{END_BYTES}").splitlines()[1:]
    return [json.loads(line) if line != b"-" else {} for line in lines]


def _added(commit: bytes) -> Iterator[dict[str, Any]]:
    """The statistics of each file that a commit adds."""
    for line in commit.splitlines():
        action = json.loads(line)
        if "add" in action and action["add"].get("dataChange") and action["add"].get("stats"):
            yield json.loads(action["add"]["stats"])


def _last_checkpoint(log: str) -> int:
    """The version of it, so that a log of a month need not be listed every few minutes; Delta writes one every ten commits."""
    try:
        version: int = json.loads(_read(f"{log}_last_checkpoint"))["version"]
    except _s3().exceptions.NoSuchKey:
        return 0
    return version


def _listed(uri: str, after: str = "") -> Iterator[dict[str, Any]]:
    bucket, prefix = _place(uri)
    pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, StartAfter=prefix + after)
    for page in pages:
        yield from page.get("Contents", ())


def _read(uri: str, **part: str) -> bytes:
    bucket, key = _place(uri)
    body: bytes = _s3().get_object(Bucket=bucket, Key=key, **part)["Body"].read()
    return body


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _root() -> str:
    root = os.environ.get("FRUITPIPE_ROOT", "").rstrip("/")
    if not root.startswith("s3://"):
        raise ValueError(f"FRUITPIPE_ROOT is {root!r}; set it to s3://bucket/prefix")
    return root


@cache
def _s3() -> Any:
    return boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 5}))
