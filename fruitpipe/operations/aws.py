"""Requests to AWS for the doctor: the caller's identity, a bucket's notifications, queues, EMR clusters. Reads only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from fruitpipe.errors import AccessDenied, FruitpipeError, NotFound, PlatformFault

Fields = dict[str, Any]

DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "InvalidClientTokenId",
    "ExpiredToken",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
}


def identity() -> str:
    """The ARN of the caller."""
    with _explained("sts:GetCallerIdentity"):
        return str(_client("sts").get_caller_identity()["Arn"])


def queues(bucket: str, prefix: str) -> list[str]:
    """The ARNs of the queues that get events of all created and of all removed objects under the prefix."""
    with _explained("s3:GetBucketNotification"):
        wired = _client("s3").get_bucket_notification_configuration(Bucket=bucket).get("QueueConfigurations", [])
    told: dict[str, set[str]] = {}
    for one in wired:
        if prefix.startswith(_filter(one)):
            told.setdefault(one["QueueArn"], set()).update(event.split(":")[1] for event in one["Events"])
    return [arn for arn, kinds in told.items() if {"ObjectCreated", "ObjectRemoved"} <= kinds]


def queue(arn: str) -> Fields:
    """A queue's attributes. Raises NotFound."""
    name = arn.rpartition(":")[2]
    with _explained(f"queue {name}"):
        sqs = _client("sqs")
        attributes: Fields = sqs.get_queue_attributes(
            QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["All"]
        )
        return dict(attributes["Attributes"])


def readers(queue_arn: str) -> list[Fields]:
    """The event source mappings of Lambda that read the queue."""
    with _explained("lambda:ListEventSourceMappings"):
        found: list[Fields] = _client("lambda").list_event_source_mappings(EventSourceArn=queue_arn)["EventSourceMappings"]
    return found


def cluster(cluster_id: str) -> Fields:
    """An EMR cluster, as DescribeCluster returns it. Raises NotFound."""
    with _explained(f"cluster {cluster_id}"):
        return dict(_client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"])


def instances(cluster_id: str) -> dict[str, int]:
    """How many machines of each type a cluster runs."""
    with _explained(f"cluster {cluster_id}"):
        groups = _client("emr").list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    counts: dict[str, int] = {}
    for group in groups:
        counts[group["InstanceType"]] = counts.get(group["InstanceType"], 0) + group["RequestedInstanceCount"]
    return counts


def _filter(configuration: Fields) -> str:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return next((rule["Value"] for rule in rules if rule["Name"].lower() == "prefix"), "")


def _client(service: str) -> Any:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")  # boto3 itself knows the second only
    config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)
    return boto3.session.Session(region_name=region).client(service, config=config)  # type: ignore[call-overload]


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _explain(what, error) from error
    except NoCredentialsError as error:
        raise AccessDenied(f"{what}: no AWS credentials were found") from error
    except NoRegionError as error:
        raise PlatformFault(f"{what}: no region is set (AWS_REGION)") from error
    except BotoCoreError as error:
        raise PlatformFault(f"{what}: AWS could not be reached ({error})") from error


def _explain(what: str, error: ClientError) -> FruitpipeError:
    code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in DENIED:
        return AccessDenied(f"{what}: access is denied ({code})")
    if "NonExistentQueue" in code or code in ("InvalidRequestException", "NoSuchBucket", "ResourceNotFoundException"):
        return NotFound(f"{what}: {said or code}")
    return PlatformFault(f"{what}: AWS answered {code} ({said})")
