"""Starts a cluster that catches up, refits and terminates: the refit's trigger where there is no long-lived cluster.

The request is claimed as by `start_refit`, in `<root>/triggers/refit.json`, and the claim's token is a part of the cluster's
name: after an invocation that was killed the next one finds the cluster by that name. While a cluster with CLUSTER_TAG lives, no
other is started. NotStarted is raised where nothing can be started, so that Lambda delivers the request again and then keeps it.

Environment: what `start_refit` reads, with CLUSTER_TAG; FRUITPIPE_IMAGES; FRUITPIPE_CLUSTER, RunJobFlow's arguments as JSON,
without the name and the steps.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import claims
import refit_request
import refit_settings
import start_refit
from botocore.exceptions import BotoCoreError, ClientError
from claims import Claim, Fields
from refit_request import NotStarted
from refit_settings import Settings

PREFIX = "fruitpipe-run-"
MODEL = "model/mobilenetv2-1.0-224.tflite"


def handler(event: Any, context: Any) -> Fields:
    """The entry point of the Lambda function: `{"started": true, "cluster_id": …}` or `{"started": false, "reason": …}`."""
    settings = Settings.from_environment()
    refit_settings.check_time(settings, context)
    definition = _definition(settings, refit_request.arguments(event))
    with start_refit._explained():
        ids = refit_request.deliveries(event if isinstance(event, dict) else {}, context)
        result = start(settings, definition, ids)
    print(json.dumps({"action": "start-cluster", **result}))
    return result


def start(settings: Settings, definition: Fields, ids: list[str]) -> Fields:
    """Starts the cluster, or says why there is nothing to do. Raises NotStarted."""
    for _ in range(start_refit.LOOKS):
        last = find_cluster(settings.root, claims.read(settings.root))
        if reason := nothing_to_do(settings, last, ids):
            return {"started": False, "reason": reason}
        if not (last and last.is_held) and (mine := claims.take(settings.root, settings.guard_seconds, "", last, ids)):
            return run(settings, mine, definition)
        time.sleep(start_refit.LOOK_SECONDS)
    raise NotStarted(
        f"another invocation has claimed the refit and started no cluster yet; its claim expires by itself "
        f"{settings.guard_seconds} s after it was made: try again then"
    )


def nothing_to_do(settings: Settings, last: Claim | None, ids: list[str]) -> str | None:
    """Why no cluster is needed; None where one is."""
    if last and set(ids) & set(last.settled):
        return "this event was delivered before and its cluster was started then"
    if living := tagged(settings.cluster_tag):
        what, cure = f"cluster {living[0]['Id']}", f"aws emr terminate-clusters --cluster-ids {living[0]['Id']}"
        start_refit.check_not_hung(settings, what, living[0]["Status"], cure)
        return f"cluster {living[0]['Id']} ({living[0]['Name']}) is {living[0]['Status']['State']}: it refits before it ends"
    if last and last.step_id and time.time() < last.claimed_at + settings.min_interval_seconds:
        return f"{last.cluster_id} was started just now; the least interval is {settings.min_interval_seconds} s"
    return None


def tagged(tag: str) -> list[Fields]:
    """The living clusters with the tag."""
    emr = start_refit._emr()
    pages = emr.get_paginator("list_clusters").paginate(ClusterStates=start_refit.ALIVE)
    described: list[Fields] = [emr.describe_cluster(ClusterId=one["Id"])["Cluster"] for page in pages for one in page["Clusters"]]
    return [one for one in described if tag in start_refit._tags(one) and one["Status"]["State"] in start_refit.ALIVE]


def find_cluster(root: str, claim: Claim | None) -> Claim | None:
    """The claim with its cluster, found by name where the claimant was killed, or lost EMR's answer, before it noted it."""
    if claim is None or claim.step_id or not claim.token:
        return claim
    since = datetime.fromtimestamp(claim.claimed_at - 60, UTC)
    pages = start_refit._emr().get_paginator("list_clusters").paginate(CreatedAfter=since)
    found = [one["Id"] for page in pages for one in page["Clusters"] if one["Name"] == PREFIX + claim.token]
    return claims.note(root, replace(claim, cluster_id=found[0], step_id=found[0])) if found else claim


def run(settings: Settings, mine: Claim, definition: Fields) -> Fields:
    """Starts the claim's cluster. A refusal frees the claim; without a clear answer it stays until it expires."""
    name = PREFIX + mine.token
    try:
        cluster_id: str = start_refit._emr(1).run_job_flow(Name=name, **definition)["JobFlowId"]
    except BotoCoreError:
        found = find_cluster(settings.root, mine) or mine
        if not found.step_id:
            raise
        cluster_id = found.cluster_id
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= start_refit.SERVER_FAULT:
            raise
        claims.note(settings.root, replace(mine, expires_at=0, deliveries=[]))
        raise NotStarted(f"EMR refused the cluster ({start_refit._said(error)}); fix that and try again") from error
    else:
        claims.note(settings.root, replace(mine, cluster_id=cluster_id, step_id=cluster_id))
    return {"started": True, "cluster_id": cluster_id, "name": name}


def steps(settings: Settings, images: str, refit: list[str]) -> list[Fields]:
    """The steps: ingest, reconcile, catch up, refit. Only a failed reconciliation lets the next steps run."""
    places, model = ["--images", images, "--root", settings.root], ["--model", f"{settings.home}/{MODEL}"]
    return [
        _step("ingest", "TERMINATE_CLUSTER", ["streaming/ingest.py", *places, "--source", "prefix", "--once", *model], settings),
        _step("reconcile", "CONTINUE", ["batch/reconcile.py", *places, *model], settings),
        _step(
            "catch-up", "TERMINATE_CLUSTER", ["streaming/ingest.py", *places, "--source", "events", "--once", *model], settings
        ),
        _step("refit", "TERMINATE_CLUSTER", ["batch/refit.py", "--root", settings.root, *refit], settings),
    ]


def _step(name: str, on_failure: str, arguments: list[str], settings: Settings) -> Fields:
    command = ["spark-submit", f"{settings.home}/{arguments[0]}", *arguments[1:]]
    jar = {"Jar": "command-runner.jar", "Args": command}
    return {"Name": f"fruitpipe-{name}", "ActionOnFailure": on_failure, "HadoopJarStep": jar}


def _definition(settings: Settings, refit: list[str]) -> Fields:
    text, images = os.environ.get("FRUITPIPE_CLUSTER", ""), os.environ.get("FRUITPIPE_IMAGES", "")
    if not images.startswith("s3://"):
        raise NotStarted(f"FRUITPIPE_IMAGES is {images!r}; set it to s3://bucket/prefix")
    try:
        definition: Fields = json.loads(text)
        return {**definition, "Steps": steps(settings, images, refit)}
    except (ValueError, TypeError) as error:
        raise NotStarted(f"FRUITPIPE_CLUSTER is no JSON object ({error}); deploy the stack again") from error
