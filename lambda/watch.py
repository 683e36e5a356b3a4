"""Publishes metrics to CloudWatch every few minutes: whether the stream lives, how old its backlog is, how many images fail.

It also measures how long ago the last refit was. All of it is read under the root: the lease, the manifests, the checkpoint that
lists those that were read, Delta's log with the rows and errors of each commit, and the pointer, which each refit writes. So the
jobs need no access to CloudWatch.

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
from botocore.exceptions import ClientError

NOT_FOUND = 404
NAMESPACE = "Fruitpipe"
UNITS = {"WaitingSeconds": "Seconds", "ErrorShare": "Percent"}
LEASE_SECONDS = 60  # of a record that does not say
ERRORS_OVER = timedelta(hours=1)
LEAST_ROWS = 20  # of which the share of errors is told, as one broken upload of a quiet hour is no reason to wake anybody
COMMITS = 400  # more than an hour of them, at one every ten seconds
END_BYTES = 1 << 20  # some 5,000 entries of a checkpoint's list of files, which grows by all that the stream ever takes


def handler(_event: Any, _context: Any) -> dict[str, float]:
    """The entry point of the Lambda function; returns the values by metric."""
    root, now = _root(), datetime.now(UTC)
    measured = {
        "StreamAlive": float(is_alive(root, now)),
        "WaitingSeconds": waiting_seconds(root, now),
        "ErrorShare": 100 * error_share(root, now - ERRORS_OVER),
    }
    if (hours := hours_since_refit(root, now)) is not None:
        measured["HoursSinceRefit"] = hours
    dimensions = [{"Name": "Stack", "Value": os.environ["FRUITPIPE_STACK"]}]
    data = [
        {"MetricName": name, "Value": value, "Unit": UNITS.get(name, "None"), "Dimensions": dimensions}
        for name, value in measured.items()
    ]
    boto3.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)
    print(json.dumps({"action": "watch", **measured}))
    return measured


def is_alive(root: str, now: datetime) -> bool:
    """Whether somebody holds the root's lease: has renewed it, by the store's clock, within its length, and not given it back."""
    bucket, key = _place(f"{root}/writer.json")
    try:
        answer = _s3().get_object(Bucket=bucket, Key=key)
    except _s3().exceptions.NoSuchKey:
        return False
    record = json.loads(answer["Body"].read())
    lasts = timedelta(seconds=record.get("lease_seconds", LEASE_SECONDS))
    return not record.get("released") and now < answer["LastModified"] + lasts


def waiting_seconds(root: str, now: datetime) -> float:
    """The age of the oldest manifest that is in no committed batch; 0 where none is.

    Spark takes manifests in order of their modification, so those wait that are later than the last one taken. S3's times have
    whole seconds: one of the same second counts as taken. One that an erasure rewrote counts as new until a later one is taken.
    Names are in order of the events' time: the oldest that waits is on the first page with one that does, so that a backlog of
    a week is looked at no longer than one of an hour.
    """
    taken_until = _taken_until(f"{root}/checkpoints/ingest")
    for page in _pages(f"{root}/events/"):
        times = [one["LastModified"] for one in page if one["Key"].endswith(".jsonl")]
        if waiting := [time for time in times if int(time.timestamp()) * 1000 > taken_until]:
            oldest: datetime = min(waiting)
            return max(0.0, (now - oldest).total_seconds())
    return 0.0


def error_share(root: str, since: datetime) -> float:
    """The share of images with an error among those of Delta's commits since then, or among LEAST_ROWS where they are fewer."""
    rows = errors = 0
    log = f"{root}/features/_delta_log/"
    for entry in _listed(log, f"{max(0, _last_checkpoint(log) - COMMITS):020d}"):
        if entry["LastModified"] >= since and entry["Key"].endswith(".json"):
            brought, failed = _brought(_read(f"s3://{_place(root)[0]}/{entry['Key']}"))
            rows, errors = rows + brought, errors + failed
    return errors / max(rows, LEAST_ROWS)


def hours_since_refit(root: str, now: datetime) -> float | None:
    """Hours since the pointer to the published version was last written; None where there is none yet.

    Every refit writes it, also one that finds nothing to publish, and so do rollback and release.
    """
    bucket, key = _place(f"{root}/reduced/latest.json")
    try:
        modified: datetime = _s3().head_object(Bucket=bucket, Key=key)["LastModified"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != NOT_FOUND:
            raise
        return None
    return max(0.0, (now - modified) / timedelta(hours=1))


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


def _brought(commit: bytes) -> tuple[int, int]:
    """How many images a commit brought, and how many of those with an error.

    A merge writes the rows beside those that it changes once more, so there the stream's own count is taken, and without one
    nothing; an append holds what it brought, as far as its statistics tell.
    """
    actions = [json.loads(line) for line in commit.splitlines()]
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    if info.get("operation") == "MERGE":
        counts = _counts(info.get("userMetadata"))
        return counts.get("featurised", 0) + counts.get("failed", 0), counts.get("failed", 0)
    added = [action["add"] for action in actions if action.get("add", {}).get("dataChange")]
    told = [(stats.get("numRecords"), stats.get("nullCount", {}).get("error")) for one in added if (stats := _stats(one))]
    known = [(rows, sound) for rows, sound in told if rows is not None and sound is not None]
    return sum(rows for rows, _ in known), sum(rows - sound for rows, sound in known)


def _counts(note: str | None) -> dict[str, int]:
    """Images by outcome, as the stream notes them in a commit; none in a note of somebody else's."""
    try:
        counts = json.loads(note or "{}")
    except ValueError:
        return {}
    return counts if isinstance(counts, dict) and all(isinstance(count, int) for count in counts.values()) else {}


def _stats(add: dict[str, Any]) -> dict[str, Any]:
    """A file's statistics, which a writer may leave out, whole or in part."""
    stats: dict[str, Any] = json.loads(add.get("stats") or "{}")
    return stats


def _last_checkpoint(log: str) -> int:
    """The version of it, so that a log of a month need not be listed every few minutes; Delta writes one every ten commits."""
    try:
        version: int = json.loads(_read(f"{log}_last_checkpoint"))["version"]
    except _s3().exceptions.NoSuchKey:
        return 0
    return version


def _listed(uri: str, after: str = "") -> Iterator[dict[str, Any]]:
    for page in _pages(uri, after):
        yield from page


def _pages(uri: str, after: str = "") -> Iterator[list[dict[str, Any]]]:
    """What begins with the URI, in order of its names, up to 1,000 at a time."""
    bucket, prefix = _place(uri)
    for page in _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, StartAfter=prefix + after):
        yield page.get("Contents", [])


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
