"""Reads the settings by which a bucket keeps or copies objects and names: versions, logs, inventories, replicas, tables.

An answer is read into plain values, in the words of S3's API; what they mean for an erasure is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fruitpipe.objects import s3
from fruitpipe.objects.s3_connection import DOCUMENT

# What S3 answers an empty one of where a setting is off. A server that does not know the question answers another document.
OFF_IF_EMPTY = {
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
}
Reading = Callable[[Mapping[str, Any], str], Iterator[Any]]  # of what S3 answered for a bucket


class Target(NamedTuple):
    """Where S3 puts copies, or lists and logs with names.

    prefix: of the keys there. of: the prefix of the keys that are copied or listed.
    """

    bucket: str
    prefix: str = ""
    of: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class Rule(NamedTuple):
    """An enabled rule of a lifecycle.

    prefix: of the keys that it is for; None where tags or sizes choose among them, so that nothing follows for all of them.
    days, noncurrent_days, upload_days: after which it removes objects, noncurrent versions and uploads that were begun.
    """

    id: str
    prefix: str | None
    days: int | None = None
    noncurrent_days: int | None = None
    upload_days: int | None = None

    def __str__(self) -> str:
        return self.id


class Table(NamedTuple):
    """A table of S3 Metadata. days: after which its records expire; None: never. place: its bucket's ARN and its namespace."""

    kind: str
    name: str
    days: int | None = None
    place: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        return f"{self.kind} table {self.name}"


class Setting(NamedTuple):
    """A setting of a bucket: the operation of S3's API that tells it, `on: …`, `off` or `unknown: …`, and what it names."""

    name: str
    operation: str
    answer: str
    found: tuple[Any, ...] = ()


def of_bucket(bucket: str) -> dict[str, Setting]:
    """Reads all of SETTINGS, by name. One that is denied is `unknown`."""
    return {name: _ask(name, *asked, bucket) for name, asked in SETTINGS.items()}


def lifetimes(bucket: str) -> dict[str, Setting]:
    """Reads what tells how long objects of a bucket live: its versions and its lifecycle."""
    return {name: _ask(name, *SETTINGS[name], bucket) for name in ("versions", "lifecycle")}


def protection(bucket: str) -> dict[str, Setting]:
    """Reads what keeps others from a bucket's objects, PROTECTION, by name."""
    return {name: _ask(name, *asked, bucket) for name, asked in PROTECTION.items()}


def _ask(name: str, operation: str, read: Reading, bucket: str) -> Setting:
    try:
        found = tuple(one for page in _pages(operation, bucket) for one in read(_understood(operation, page), bucket))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        is_off = code != "NoSuchBucket" and (code.startswith("NoSuch") or code.endswith(("NotFound", "NotFoundError")))
        return Setting(name, operation, "off" if is_off else f"unknown: {code}")
    except BotoCoreError as error:  # no credentials among them: of a local root the apps alone lie in S3
        return Setting(name, operation, f"unknown: {error}")
    except KeyError:  # a server that does not know the question lists the bucket's objects instead
        return Setting(name, operation, "unknown: the server does not answer it")
    return Setting(name, operation, f"on: {', '.join(map(str, found))}" if found else "off", found)


def _pages(operation: str, bucket: str) -> Iterator[Mapping[str, Any]]:
    answer = s3.ask(operation, bucket)
    yield answer
    while token := answer.get("NextContinuationToken"):  # of inventories, 100 a page
        answer = s3.ask(operation, bucket, ContinuationToken=token)
        yield answer


def _understood(operation: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer. Raises KeyError where its document is another one than was asked for."""
    if answer.get(DOCUMENT, OFF_IF_EMPTY.get(operation)) != OFF_IF_EMPTY.get(operation):
        raise KeyError(operation)
    return answer


def _name(arn: str) -> str:
    """The bucket's name in ``arn:aws:s3:::name``."""
    return arn.rpartition(":")[2]


def _versioning(answer: Mapping[str, Any], _: str) -> Iterator[str]:
    if status := answer.get("Status"):
        yield str(status)


def _lock(answer: Mapping[str, Any], _: str) -> Iterator[str]:
    found = answer["ObjectLockConfiguration"]
    if found["ObjectLockEnabled"]:
        default = found.get("Rule", {}).get("DefaultRetention", {})
        span = " ".join(f"{default[unit]} {unit.lower()}" for unit in ("Days", "Years") if unit in default)
        yield f"{default['Mode'].lower()} for {span}" if "Mode" in default else "for versions that ask for it"


def _lifecycle(answer: Mapping[str, Any], _: str) -> Iterator[Rule]:
    for rule in answer["Rules"]:
        if rule["Status"] != "Enabled":
            continue
        chosen = rule.get("Filter") or {}
        chosen = chosen | chosen.get("And", {})
        prefix = rule.get("Prefix") or chosen.get("Prefix", "")
        noncurrent = rule.get("NoncurrentVersionExpiration", {})
        yield Rule(
            str(rule.get("ID", "a rule without a name")),
            None if chosen.keys() - {"Prefix", "And"} else prefix,
            rule.get("Expiration", {}).get("Days"),
            None if noncurrent.get("NewerNoncurrentVersions") else noncurrent.get("NoncurrentDays"),
            rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
        )


def _logging(answer: Mapping[str, Any], _: str) -> Iterator[Target]:
    if target := answer.get("LoggingEnabled"):
        yield Target(str(target["TargetBucket"]), str(target.get("TargetPrefix", "")))


def _replication(answer: Mapping[str, Any], _: str) -> Iterator[Target]:
    for rule in answer["ReplicationConfiguration"]["Rules"]:
        chosen = rule.get("Filter") or {}
        prefix = rule.get("Prefix") or chosen.get("Prefix") or chosen.get("And", {}).get("Prefix", "")
        if rule["Status"] == "Enabled":
            yield Target(_name(rule["Destination"]["Bucket"]), "", prefix)


def _inventory(answer: Mapping[str, Any], bucket: str) -> Iterator[Target]:
    for one in answer.get("InventoryConfigurationList", ()):
        if one["IsEnabled"]:
            there = one["Destination"]["S3BucketDestination"]
            parts = (*filter(None, [there.get("Prefix", "").rstrip("/")]), bucket, one["Id"])
            yield Target(_name(there["Bucket"]), f"{'/'.join(parts)}/", one.get("Filter", {}).get("Prefix", ""))


def _metadata(answer: Mapping[str, Any], _: str) -> Iterator[Table]:
    found = answer["GetBucketMetadataConfigurationResult"]["MetadataConfigurationResult"]
    there = found.get("DestinationResult", {})
    place = (str(there.get("TableBucketArn", "")), str(there.get("TableNamespace", "")))
    kinds = {"journal": "JournalTable", "inventory": "InventoryTable", "annotation": "AnnotationTable"}
    tables = {kind: found[f"{key}ConfigurationResult"] for kind, key in kinds.items() if f"{key}ConfigurationResult" in found}
    for kind, table in (tables or {"journal": {}}).items():
        expiration = table.get("RecordExpiration", {})
        if table.get("ConfigurationState") != "DISABLED":
            days = expiration.get("Days") if expiration.get("Expiration") == "ENABLED" else None
            yield Table(kind, str(table.get("TableName", kind)), days, place)


def _encryption(answer: Mapping[str, Any], _: str) -> Iterator[str]:
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        yield f"{default.get('SSEAlgorithm', '')} {default.get('KMSMasterKeyID', '')}".strip()


def _public_access(answer: Mapping[str, Any], _: str) -> Iterator[str]:
    found = answer["PublicAccessBlockConfiguration"]
    if not found:  # S3 names each of them, be it on or off
        raise KeyError("PublicAccessBlockConfiguration")
    yield from (name for name, is_on in found.items() if is_on)


SETTINGS: dict[str, tuple[str, Reading]] = {
    "versions": ("GetBucketVersioning", _versioning),
    "object lock": ("GetObjectLockConfiguration", _lock),
    "lifecycle": ("GetBucketLifecycleConfiguration", _lifecycle),
    "access logs": ("GetBucketLogging", _logging),
    "replicas": ("GetBucketReplication", _replication),
    "inventory reports": ("ListBucketInventoryConfigurations", _inventory),
    "metadata tables": ("GetBucketMetadataConfiguration", _metadata),
}
PROTECTION: dict[str, tuple[str, Reading]] = {
    "encryption": ("GetBucketEncryption", _encryption),
    "block of public access": ("GetPublicAccessBlock", _public_access),
}
