"""Turns a batch of SQS messages with S3 events into one manifest of image events, which the stream reads.

A message holds an S3 event notification as S3 sends it, or wrapped by SNS, by EventBridge, or by both. A message that cannot be
parsed is reported as a failed item of the batch and ends in the dead-letter queue; the others are processed. The manifest's name
is a hash of its content, so events that are delivered again, in any order, are written once.

Environment: FRUITPIPE_ROOT and FRUITPIPE_IMAGES (s3://bucket/prefix), FRUITPIPE_GLOB (names that count as images),
FRUITPIPE_SIDE_FILES (true: side files of systems too), FRUITPIPE_KMS_KEY (where the root's bucket demands that a key of KMS is
named). Standard library and boto3 only: tests check the format of the lines against `fruitpipe.root.manifests`, and what a side
file is against `fruitpipe.pictures.side_files`.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

Fields = dict[str, Any]

NEVER = datetime.min.replace(tzinfo=UTC)

GLOB = "*.{jpg,jpeg,png,webp,avif,heic,heif,hif}"
# Side files, by the rule of fruitpipe/pictures/side_files.py: a file's name, or a folder that it lies in.
SIDE_FILES = re.compile(
    r"(.*/)?(\._[^/]*|(__MACOSX|\.AppleDouble|\.DocumentRevisions-V100|\.fseventsd|\.Spotlight-V100|\.TemporaryItems"
    r"|@eaDir|\.@__thumb|\.thumbnails|\.ipynb_checkpoints|\$RECYCLE\.BIN|#recycle|@Recycle|\.Trash|\.Trashes|\.Trash-[0-9]+"
    r"|\.dtrash|#snapshot|@Recently-Snapshot|\.snapshot|\.snapshots|~snapshot|\.zfs|\.stversions)/.*)",
    re.IGNORECASE | re.DOTALL,
)
# An archived image that is restored can be read again, so it counts as created. A lifecycle rule and a delete marker remove an
# image as well. Other events of S3 (tags, access lists, storage classes) do not change the bytes.
NOTIFICATIONS = {
    "ObjectCreated": "created",
    "ObjectRestore:Completed": "created",
    "ObjectRemoved": "removed",
    "LifecycleExpiration": "removed",
}
EVENTBRIDGE = {"Object Created": "created", "Object Restore Completed": "created", "Object Deleted": "removed"}


@dataclass(frozen=True)
class Settings:
    """Where the images are, which names count as images, and where the manifests go."""

    root: str
    images: str
    names: re.Pattern[str]
    side_files: bool = False

    @classmethod
    def from_environment(cls) -> Settings:
        side_files = os.environ.get("FRUITPIPE_SIDE_FILES", "").lower() in ("1", "true", "yes", "on")
        glob = os.environ.get("FRUITPIPE_GLOB") or GLOB
        return cls(_uri("FRUITPIPE_ROOT"), _uri("FRUITPIPE_IMAGES"), matcher(glob), side_files)

    def why_not(self, event: Fields) -> str | None:
        """Why the event is left out, as the log counts it; None for an event of an image."""
        if event["event"] is None:
            return "other_kind"
        if not event["path"].startswith(f"{self.images}/"):
            return "outside_prefix"
        name = event["path"].rpartition("/")[2]  # empty where somebody created a folder
        if not (name and self.names.match(name)):
            return "other_name"
        is_side_file = SIDE_FILES.fullmatch(event["path"].removeprefix(f"{self.images}/"))
        return "side_file" if is_side_file and not self.side_files else None


@dataclass
class Batch:
    """The result of a batch: the manifest's lines, the latest event's time, counts, and errors by message id."""

    lines: set[str] = field(default_factory=set)
    latest: datetime = NEVER
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)


def handler(event: Fields, _context: object) -> Fields:
    """The entry point of the Lambda function. SQS delivers the messages again that `batchItemFailures` names."""
    settings = Settings.from_environment()
    batch = collect(event["Records"], settings)
    uri = write_manifest(batch, settings.root) if batch.lines else None
    counts = {"messages": len(event["Records"]), "lines": len(batch.lines), **batch.counts}
    print(json.dumps({"action": "collect", **counts, "failed": len(batch.failures), "failures": batch.failures, "manifest": uri}))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in batch.failures]}


def collect(records: list[Fields], settings: Settings) -> Batch:
    """Collects the manifest's lines of all messages; one that cannot be parsed is a failure and adds none."""
    batch = Batch()
    for record in records:
        try:
            events = parse_message(record["body"])
        except ValueError as error:
            batch.failures[record["messageId"]] = str(error)
        else:
            batch.counts["test_event"] += not events
            for event in events:
                add(batch, event, settings)
    return batch


def add(batch: Batch, event: Fields, settings: Settings) -> None:
    """Counts the event, and adds its line if it concerns an image."""
    reason = settings.why_not(event)
    batch.counts[reason or event["event"]] += 1
    if reason is None:
        batch.latest = max(batch.latest, event["event_time"])
        batch.lines.add(json.dumps({**event, "event_time": _iso(event["event_time"])}))


def parse_message(body: str) -> list[Fields]:
    """The events of one message, none for the test event that S3 sends when notifications are set up. Raises ValueError."""
    try:
        message = json.loads(body)
        if message.get("Type") == "Notification":
            message = json.loads(message["Message"])
        if message.get("Event") == "s3:TestEvent":
            return []
        if "detail-type" in message:
            return [from_eventbridge(message)]
        return [from_notification(record) for record in message["Records"]] or _refuse("no records")
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"not an event of S3 ({type(error).__name__}: {error})") from None


def from_notification(record: Fields) -> Fields:
    """A record of an S3 event notification, in which the key is URL-encoded, a space as a plus."""
    name, s3 = record["eventName"].removeprefix("s3:"), record["s3"]
    kind = NOTIFICATIONS.get(name) or NOTIFICATIONS.get(name.partition(":")[0])
    key = unquote_plus(s3["object"]["key"], errors="strict")
    return image_event(kind, s3["bucket"]["name"], key, record["eventTime"], s3["object"])


def from_eventbridge(message: Fields) -> Fields:
    """An event of EventBridge, in which the key is not URL-encoded, unlike in a notification."""
    if message["source"] != "aws.s3":
        _refuse(f"source {message['source']!r}")
    detail = message["detail"]
    kind = EVENTBRIDGE.get(message["detail-type"])
    return image_event(kind, detail["bucket"]["name"], detail["object"]["key"], message["time"], detail["object"])


def image_event(kind: str | None, bucket: str, key: str, time: str, about: Fields) -> Fields:
    """The fields of a manifest's line. kind: None for an event that does not change the image's bytes."""
    if not (bucket.encode() and key.encode()):
        _refuse(f"bucket {bucket!r}, key {key!r}")
    created, sequencer = kind == "created", str(about.get("sequencer") or "")
    return {
        "event": kind,
        "path": f"s3://{bucket}/{key}",
        "etag": etag(about) if created else None,
        "length": about.get("size") if created else None,
        "event_time": _utc(time),
        "sequencer": sequencer if re.fullmatch("[0-9a-fA-F]+", sequencer) else None,
    }


def etag(about: Fields) -> str | None:
    """S3's etag, and the version id where the bucket has versions: the same text that the features table holds."""
    tag, version = about.get("eTag") or about.get("etag"), about.get("versionId") or about.get("version-id")
    return f"{tag}@{version}" if tag and version and version != "null" else tag or None


def write_manifest(batch: Batch, root: str) -> str:
    """Writes the manifest unless it is there already, and returns its URI."""
    body = "".join(f"{line}\n" for line in sorted(batch.lines)).encode()
    name = f"{batch.latest:%H%M%S}-s3-{sha256(body).hexdigest()[:16]}"
    uri = f"{root}/events/{batch.latest:%Y/%m/%d}/{name}.jsonl"
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        _s3().put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*", **encrypted())
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
    return uri


def encrypted() -> Fields:
    """The arguments of a PUT where the bucket demands that a KMS key is named; else none."""
    key = os.environ.get("FRUITPIPE_KMS_KEY")
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}


def matcher(glob: str) -> re.Pattern[str]:
    """A pattern for whole names that match the glob in upper or lower case, with at most one pair of braces."""
    head, brace, rest = glob.partition("{")
    choices, _, tail = rest.partition("}")
    plain = [f"{head}{choice}{tail}" for choice in choices.split(",")] if brace else [glob]
    return re.compile("|".join(translate(one) for one in plain), re.IGNORECASE)


@cache
def _s3() -> Any:
    return boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 5}))


def _uri(variable: str) -> str:
    uri = os.environ.get(variable, "").replace("s3a://", "s3://", 1).rstrip("/")
    if not uri.startswith("s3://"):
        raise ValueError(f"{variable} is {uri!r}; set it to s3://bucket/prefix")
    return uri


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else _refuse(f"time {text!r} without a time zone")


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse(what: str) -> Any:
    raise ValueError(what)
