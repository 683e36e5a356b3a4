"""The doctor's checks of AWS: the bucket's notifications with their queue, copies that S3 makes by itself, and the cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from fruitpipe import objects
from fruitpipe.erasure import elsewhere
from fruitpipe.errors import NotFound, PlatformFault
from fruitpipe.operations import aws

REDEPLOY = "deploy the stack again, in a checkout: make deploy"
NEEDED = ("features", "models", "reduced", "erasures")  # folders of a root of which no file may go by its age
ALIVE = {"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"}
# With EMR's surcharge and 64 GB of disk; list prices of eu-west-1.
DOLLARS_AN_HOUR = {"m5.xlarge": 0.270, "m5.2xlarge": 0.532, "m6g.xlarge": 0.233, "m7g.xlarge": 0.248}


def events(images: str) -> str:
    """Checks that the bucket notifies a queue, that a function reads it, and that its dead-letter queue is empty."""
    bucket = objects.bucket(images)
    told = aws.queues(bucket, f"{images}/".removeprefix(f"s3://{bucket}/"))
    if not told:
        raise NotFound(f"{images}: no queue is told of images that are created and removed; {REDEPLOY}")
    attributes = aws.queue(told[0])
    name = told[0].rpartition(":")[2]
    enabled = [one for one in aws.readers(told[0]) if one["State"] in ("Enabled", "Enabling", "Creating", "Updating")]
    if not enabled:
        raise NotFound(f"queue {name}: no Lambda function reads it; {REDEPLOY}")
    if dead := dead_letters(attributes):
        raise PlatformFault(f"queue {name}: {dead} unread messages lie in its dead-letter queue; docs/operations.md, Replay")
    waiting = attributes["ApproximateNumberOfMessages"]
    return f"{name}, read by {enabled[0]['FunctionArn'].rpartition(':')[2]}; {waiting} messages wait"


def lifecycle(root: str) -> str:
    """Checks that no rule of the root's bucket removes its files by age: table and versions need each of them, however old."""
    from fruitpipe.objects import bucket_settings

    bucket, key = objects.bucket_and_key(root)
    asked = bucket_settings.lifetimes(bucket)["lifecycle"]
    for rule in asked.found:
        if rule.days is not None and rule.prefix is not None and holds(rule.prefix, key):
            raise PlatformFault(
                f"{root}: the bucket's lifecycle rule {rule.id} removes what is {rule.days} days old below "
                f"s3://{bucket}/{rule.prefix}, files of the root among them; exclude the root from it"
            )
    by_tags = [rule.id for rule in asked.found if rule.days is not None and rule.prefix is None]
    return (
        f"by tags or sizes, so see for yourself: {', '.join(by_tags)}" if by_tags else f"no rule removes files ({asked.answer})"
    )


def holds(prefix: str, key: str) -> bool:
    """Whether keys with this prefix are of files that a root at `key` cannot do without."""
    return any(f"{key}/{folder}/".startswith(prefix) or prefix.startswith(f"{key}/{folder}/") for folder in NEEDED)


def copies(root: str, images: str | None) -> str:
    """What S3 keeps of names and pictures by itself, and what would be the user's to do after an erasure."""
    lines = elsewhere.of_prefix(root, images)
    told = [f"to do: {one}" for one in elsewhere.to_do(lines)]
    told += [f"{one['what']}: by a rule, until {one['until']}" for one in lines if one["state"] == "expires"]
    if unknown := [one["what"] for one in lines if one["state"] == "unknown"]:
        told.append(f"unknown, as it was not answered: {', '.join(unknown)}")
    return "; ".join([*told, "the rest is off, or goes with an erasure"])


def dead_letters(attributes: dict[str, str]) -> int:
    """How many messages the queue's dead-letter queue holds."""
    target = json.loads(attributes.get("RedrivePolicy") or "{}").get("deadLetterTargetArn")
    return int(aws.queue(target)["ApproximateNumberOfMessages"]) if target else 0


def cluster(cluster_id: str) -> str:
    """Checks that the cluster lives and runs two steps at a time; says for how long it has run and what that cost."""
    try:
        found = aws.cluster(cluster_id)
    except NotFound as error:
        raise NotFound(
            f"{str(error).rstrip('.')}; give --cluster the id of a living one, or start one, in a checkout: make deploy"
        ) from error
    state = found["Status"]["State"]
    if state not in ALIVE:
        raise NotFound(f"cluster {cluster_id} is {state}; start another, in a checkout: make deploy")
    if found.get("StepConcurrencyLevel", 1) < 2:  # noqa: PLR2004 - the stream and the refit
        raise PlatformFault(
            f"cluster {cluster_id} runs one step at a time, so the stream blocks the refit; run aws emr modify-cluster "
            f"--cluster-id {cluster_id} --step-concurrency-level 4"
        )
    hours = (datetime.now(UTC) - found["Status"]["Timeline"]["CreationDateTime"]).total_seconds() / 3600
    spent = cost(aws.instances(cluster_id), hours)
    return f"{cluster_id} is {state} for {hours:.0f} h{spent}; stop it, in a checkout: make destroy"


def cost(instances: dict[str, int], hours: float) -> str:
    """A phrase with about what the cluster has cost, where its machines' prices are known."""
    if not instances or not instances.keys() <= DOLLARS_AN_HOUR.keys():
        return ""
    dollars = hours * sum(count * DOLLARS_AN_HOUR[kind] for kind, count in instances.items())
    return f", about ${dollars:.0f} at list prices; it does not end itself while a stream runs"
