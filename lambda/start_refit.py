"""Adds the refit as a step to the long-lived EMR cluster: once a request, and none while a refit waits or runs.

`refit_request` parses the event. A request may be delivered several times, also at the same moment; to list steps before adding
one is a race, and EMR takes no client token. So an invocation first claims the refit in `<root>/triggers/refit.json`, by a
conditional write, and puts the claim's token into the step's name: after one that was killed the next finds the step by that
name. A claim without a step expires by itself after FRUITPIPE_GUARD_SECONDS.

NotStarted is raised where nothing can be started, so that Lambda delivers the request again and then keeps it in a dead-letter
queue, which has an alarm. A refit that has not ended after FRUITPIPE_HUNG_HOURS (12) counts as hung: it would block later ones.
Environment: FRUITPIPE_ROOT; CLUSTER_ID, or CLUSTER_TAG (key=value); FRUITPIPE_HOME (/opt/fruitpipe);
FRUITPIPE_GUARD_SECONDS (120), more than the function's timeout and less than the 180 s after which Lambda makes its third and
last attempt; FRUITPIPE_MIN_INTERVAL_SECONDS (60) between two starts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import claims
import refit_request
import refit_settings
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from claims import Claim, Fields
from refit_request import NotStarted
from refit_settings import Settings

PREFIX = "fruitpipe-refit-"
ALIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
ACTIVE = ["PENDING", "RUNNING", "CANCEL_PENDING"]
UNSUCCESSFUL = {"FAILED", "CANCELLED", "INTERRUPTED"}
THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
BACKOFF_SECONDS = (1, 2, 4, 8)
LOOKS, LOOK_SECONDS = 15, 2.0
SERVER_FAULT = 500


def handler(event: Any, context: Any) -> Fields:
    """The entry point of the Lambda function: `{"started": true, "step_id": …}` or `{"started": false, "reason": …}`."""
    settings = Settings.from_environment()
    refit_settings.check_time(settings, context)
    arguments = refit_request.arguments(event)
    with _explained():
        result = start(settings, arguments, refit_request.deliveries(event if isinstance(event, dict) else {}, context))
    print(json.dumps({"action": "start-refit", **result}))
    return result


def start(settings: Settings, arguments: list[str], ids: list[str]) -> Fields:
    """Adds the step, or says why there is nothing to do. Raises NotStarted."""
    cluster = living_cluster(settings)
    for _ in range(LOOKS):
        last = find_step(settings.root, cluster["Id"], claims.read(settings.root))
        if reason := nothing_to_do(settings, cluster, last, ids):
            return {"started": False, "reason": reason}
        if not (last and last.is_held) and (mine := claims.take(settings.root, settings.guard_seconds, cluster["Id"], last, ids)):
            return submit(settings, mine, arguments)
        time.sleep(LOOK_SECONDS)
    raise NotStarted(
        f"another invocation has claimed the refit and added no step yet; its claim expires by itself "
        f"{settings.guard_seconds} s after it was made: try again then"
    )


def nothing_to_do(settings: Settings, cluster: Fields, last: Claim | None, ids: list[str]) -> str | None:
    """Why no step is needed; None where one is. Raises NotStarted where it would wait for ever behind another."""
    if last and set(ids) & set(last.settled):
        return "this event was delivered before and its refit was started then"
    active = _steps(cluster["Id"], StepStates=ACTIVE)
    if refits := [step for step in active if _is_refit(step)]:
        step, state = refits[0], refits[0]["Status"]["State"]
        cure = f"aws emr cancel-steps --cluster-id {cluster['Id']} --step-ids {step['Id']}"
        check_not_hung(settings, f"step {step['Id']} ({step['Name']})", step["Status"], cure)
        return f"a refit is {state}: step {step['Id']} on cluster {cluster['Id']}"
    if last and last.step_id and last.cluster_id == cluster["Id"] and _is_recent(last, settings):
        return f"the refit {last.step_id} was started just now; the least interval is {settings.min_interval_seconds} s"
    if active and cluster.get("StepConcurrencyLevel", 1) == 1:
        raise NotStarted(
            f"cluster {cluster['Id']} runs one step at a time and {active[0]['Id']} ({active[0]['Name']}) is "
            f"{active[0]['Status']['State']}; run aws emr modify-cluster --cluster-id {cluster['Id']} --step-concurrency-level 4"
        )
    return None


def check_not_hung(settings: Settings, what: str, status: Fields, cure: str) -> None:
    """Raises NotStarted for a step or cluster that was created more than `hung_hours` ago."""
    hours = (datetime.now(UTC) - status["Timeline"]["CreationDateTime"]) / timedelta(hours=1)
    if hours >= settings.hung_hours:
        raise NotStarted(
            f"{what} is {status['State']} for {hours:.0f} h, where {settings.hung_hours} are allowed, and keeps others from "
            f"starting; look at its log, then run {cure}, or raise FRUITPIPE_HUNG_HOURS"
        )


def living_cluster(settings: Settings) -> Fields:
    """The one living cluster with the id or the tag, as EMR describes it. Raises NotStarted."""
    if settings.cluster_id:
        return _cluster_by_id(settings.cluster_id)
    pages = _emr().get_paginator("list_clusters").paginate(ClusterStates=ALIVE)
    described: list[Fields] = [
        _emr().describe_cluster(ClusterId=one["Id"])["Cluster"] for page in pages for one in page["Clusters"]
    ]
    tagged = [one for one in described if settings.cluster_tag in _tags(one) and one["Status"]["State"] in ALIVE]
    if len(tagged) != 1:
        found = ", ".join(one["Id"] for one in tagged) or "there is none"
        raise NotStarted(f"1 living cluster must have the tag {settings.cluster_tag}: {found}; start or end clusters, or tag one")
    return tagged[0]


def _cluster_by_id(cluster_id: str) -> Fields:
    try:
        cluster: Fields = _emr().describe_cluster(ClusterId=cluster_id)["Cluster"]
    except _emr().exceptions.InvalidRequestException as error:
        raise NotStarted(f"there is no such cluster as {cluster_id}; set CLUSTER_ID to a living one, or CLUSTER_TAG") from error
    if (state := cluster["Status"]["State"]) not in ALIVE:
        raise NotStarted(f"cluster {cluster_id} is {state}; start another and set CLUSTER_ID to it, or set CLUSTER_TAG")
    return cluster


def find_step(root: str, cluster_id: str, claim: Claim | None) -> Claim | None:
    """The claim with its step, found by name where the claimant was killed, or lost EMR's answer, before it noted it.

    A claim on another cluster than the present one is left as it is, and expires: this role may not list that one's steps.
    """
    if claim is None or claim.step_id or not claim.token or claim.cluster_id != cluster_id:
        return claim
    found = [step["Id"] for step in _steps(cluster_id) if step["Name"] == PREFIX + claim.token]
    return claims.note(root, replace(claim, step_id=found[0])) if found else claim


def submit(settings: Settings, mine: Claim, arguments: list[str]) -> Fields:
    """Adds the claim's step. A refusal frees the claim; without a clear answer it stays until it expires."""
    command = ["spark-submit", f"{settings.home}/batch/refit.py", "--root", settings.root, *arguments]
    jar = {"Jar": "command-runner.jar", "Args": command}
    step = {"Name": PREFIX + mine.token, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}
    try:
        noted = claims.note(settings.root, replace(mine, step_id=add_step(mine.cluster_id, step)))
    except BotoCoreError:
        noted = find_step(settings.root, mine.cluster_id, mine) or mine
        if not noted.step_id:
            raise
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= SERVER_FAULT:
            raise
        claims.note(settings.root, replace(mine, expires_at=0, deliveries=[]))
        raise NotStarted(_refusal(mine.cluster_id, error)) from error
    return {"started": True, "cluster_id": mine.cluster_id, "step_id": noted.step_id, "name": step["Name"]}


def add_step(cluster_id: str, step: Fields) -> str:
    """Adds the step and returns its id. Retries only when throttled: after any other error there could be a second step."""
    for pause in (*BACKOFF_SECONDS, None):
        try:
            added: str = _emr(1).add_job_flow_steps(JobFlowId=cluster_id, Steps=[step])["StepIds"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] not in THROTTLED or pause is None:
                raise
            time.sleep(pause)
        else:
            break
    return added


def _refusal(cluster_id: str, error: ClientError) -> str:
    message = error.response["Error"].get("Message", "")
    if error.response["Error"]["Code"] in THROTTLED:
        return f"AddJobFlowSteps was still throttled after {len(BACKOFF_SECONDS)} more attempts; try again later"
    if "maximum number" in message.lower():
        return f"cluster {cluster_id} has the maximum number of steps pending or running, 256; try again later"
    return f"cluster {cluster_id} refused the step ({_said(error)}); fix that and try again"


def _is_recent(last: Claim, settings: Settings) -> bool:
    """Whether the last start is within the least interval and its step did not fail."""
    if time.time() >= last.claimed_at + settings.min_interval_seconds:
        return False
    step = _emr().describe_step(ClusterId=last.cluster_id, StepId=last.step_id)["Step"]
    return step["Status"]["State"] not in UNSUCCESSFUL


def _is_refit(step: Fields) -> bool:
    """Whether the step is a refit, of ours or added by hand."""
    arguments = step.get("Config", {}).get("Args", [])
    return step["Name"].startswith(PREFIX) or any(argument.endswith("batch/refit.py") for argument in arguments)


def _steps(cluster_id: str, **states: list[str]) -> list[Fields]:
    pages = _emr().get_paginator("list_steps").paginate(ClusterId=cluster_id, **states)
    return [step for page in pages for step in page["Steps"]]


def _tags(cluster: Fields) -> set[str]:
    return {f"{tag['Key']}={tag.get('Value', '')}" for tag in cluster.get("Tags", [])}


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise NotStarted(f"{error.operation_name} answered {_said(error)}; fix that, or try again later") from error
    except BotoCoreError as error:
        raise NotStarted(f"AWS gave no answer ({error}); try again later") from error


def _said(error: ClientError) -> str:
    return f"{error.response['Error']['Code']}: {error.response['Error'].get('Message', '')}"


@cache
def _emr(attempts: int = 6) -> Any:
    retries: Any = {"mode": "standard", "total_max_attempts": attempts}
    return boto3.client("emr", config=Config(retries=retries, connect_timeout=5, read_timeout=10))
