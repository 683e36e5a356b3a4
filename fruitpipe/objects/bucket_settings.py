"""Reads the settings by which a bucket keeps or copies objects and names: versions, logs, inventories, replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fruitpipe.objects import s3


class Setting(NamedTuple):
    """A setting of a bucket: the operation of S3's API that tells it, and `on: …`, `off`, or `unknown: …` with the reason."""

    name: str
    operation: str
    answer: str


def of_bucket(bucket: str) -> list[Setting]:
    """Reads all of SETTINGS, with a request each. One that is denied is `unknown`."""
    return [Setting(name, operation, _ask(operation, bucket, told)) for name, (operation, told) in SETTINGS.items()]


def _ask(operation: str, bucket: str, told: Callable[[Mapping[str, Any]], str]) -> str:
    try:
        found = told(s3.ask(operation, bucket))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        is_off = code != "NoSuchBucket" and (code.startswith("NoSuch") or code.endswith(("NotFound", "NotFoundError")))
        return "off" if is_off else f"unknown: {code}"
    except BotoCoreError as error:
        return f"unknown: {error}"
    except KeyError:  # a server that does not know the question lists the bucket's objects instead
        return "unknown: the server does not answer it"
    return f"on: {found}" if found else "off"


def _versioning(answer: Mapping[str, Any]) -> str:
    return str(answer.get("Status", ""))


def _lock(answer: Mapping[str, Any]) -> str:
    return str(answer["ObjectLockConfiguration"].get("ObjectLockEnabled", ""))


def _lifecycle(answer: Mapping[str, Any]) -> str:
    return ", ".join(
        str(rule.get("ID", "a rule without a name")) for rule in answer.get("Rules", ()) if rule["Status"] == "Enabled"
    )


def _logging(answer: Mapping[str, Any]) -> str:
    target = answer.get("LoggingEnabled")
    return f"s3://{target['TargetBucket']}/{target.get('TargetPrefix', '')}" if target else ""


def _replication(answer: Mapping[str, Any]) -> str:
    rules = (rule for rule in answer["ReplicationConfiguration"]["Rules"] if rule["Status"] == "Enabled")
    return ", ".join(sorted({str(rule["Destination"]["Bucket"]) for rule in rules}))


def _inventory(answer: Mapping[str, Any]) -> str:
    enabled = (one for one in answer.get("InventoryConfigurationList", ()) if one["IsEnabled"])
    return ", ".join(sorted({str(one["Destination"]["S3BucketDestination"]["Bucket"]) for one in enabled}))


def _metadata(answer: Mapping[str, Any]) -> str:
    found = answer["GetBucketMetadataConfigurationResult"]["MetadataConfigurationResult"]
    tables = (name for name in ("JournalTableConfigurationResult", "InventoryTableConfigurationResult") if name in found)
    return ", ".join(str(found[name].get("TableArn") or found[name].get("TableName") or name) for name in tables) or "a table"


SETTINGS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "versions": ("GetBucketVersioning", _versioning),
    "object lock": ("GetObjectLockConfiguration", _lock),
    "lifecycle": ("GetBucketLifecycleConfiguration", _lifecycle),
    "access logs": ("GetBucketLogging", _logging),
    "replicas": ("GetBucketReplication", _replication),
    "inventory reports": ("ListBucketInventoryConfigurations", _inventory),
    "metadata tables": ("GetBucketMetadataConfiguration", _metadata),
}
