"""The transient trigger: one cluster a request, none while one lives, and the steps that catch up and refit."""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.aws.triggering import Trigger

LAMBDA = Path(__file__).parents[2] / "lambda"
DEFINITION = {
    "ReleaseLabel": "emr-spark-8.1.0",
    # Alive without steps, since the emulator's steps end at once: the test says when the cluster ends.
    "Instances": {"KeepJobFlowAliveWhenNoSteps": True},
}


class ClusterTrigger(Trigger):
    """The function that starts a cluster, and the clusters with its tag."""

    def __init__(self, load_lambda, monkeypatch, aws):
        self.shared = load_lambda("start_refit")
        super().__init__(load_lambda("start_cluster"), aws)
        self.tag = f"run-{uuid.uuid4().hex[:8]}"
        definition = DEFINITION | {"Tags": [{"Key": "fruitpipe-stack", "Value": self.tag}]}
        variables = {
            "FRUITPIPE_ROOT": self.root,
            "FRUITPIPE_IMAGES": "s3://fruits/images",
            "FRUITPIPE_CLUSTER": json.dumps(definition),
            "CLUSTER_TAG": f"fruitpipe-stack={self.tag}",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    @property
    def clusters(self):
        found = [one for page in self.emr.get_paginator("list_clusters").paginate() for one in page["Clusters"]]
        described = [self.emr.describe_cluster(ClusterId=one["Id"])["Cluster"] for one in found]
        return [one for one in described if f"fruitpipe-stack={self.tag}" in self.shared._tags(one)]

    def end(self, cluster_id):
        self.emr.terminate_job_flows(JobFlowIds=[cluster_id])


@pytest.fixture
def trigger(aws, load_lambda, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_GUARD_SECONDS", "120")
    return ClusterTrigger(load_lambda, monkeypatch, aws)


def test_the_cluster_catches_up_refits_and_ends_itself(trigger):
    started = trigger({"variance": 0.9})
    (cluster,) = trigger.clusters
    assert (started["started"], started["cluster_id"]) == (True, cluster["Id"])
    steps = trigger.emr.list_steps(ClusterId=cluster["Id"])["Steps"]
    commands = {step["Name"]: step["Config"]["Args"] for step in steps}
    root, home = f"s3://{trigger.bucket}/pipeline", "/opt/fruitpipe"
    places = ["--images", "s3://fruits/images", "--root", root]
    model = ["--model", f"{home}/model/mobilenetv2-1.0-224.tflite"]
    ingest = ["spark-submit", f"{home}/streaming/ingest.py", *places, "--source"]
    assert commands == {
        "fruitpipe-ingest": [*ingest, "prefix", "--once", *model],
        "fruitpipe-reconcile": ["spark-submit", f"{home}/batch/reconcile.py", *places, *model],
        "fruitpipe-catch-up": [*ingest, "events", "--once", *model],
        "fruitpipe-refit": ["spark-submit", f"{home}/batch/refit.py", "--root", root, "--variance", "0.9"],
    }


def test_two_triggers_at_the_same_moment_start_one_cluster(trigger):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: trigger(), range(4)))
    assert sorted(answer["started"] for answer in answers) == [False, False, False, True]
    assert len(trigger.clusters) == 1


def test_a_trigger_while_a_cluster_lives_starts_none_and_one_after_its_end_does(trigger):
    first = trigger()["cluster_id"]
    trigger.let_pass(600)
    assert f"cluster {first}" in trigger()["reason"]
    trigger.end(first)
    assert trigger()["started"]
    assert len(trigger.clusters) == 2


def test_a_cluster_that_does_not_end_is_a_clear_error_and_not_a_reason_to_wait_for_ever(trigger, monkeypatch):
    first = trigger()["cluster_id"]
    trigger.let_pass(600)
    monkeypatch.setenv("FRUITPIPE_HUNG_HOURS", "0")
    with pytest.raises(
        trigger.module.NotStarted, match=f"cluster {first} is .* for 0 h.*terminate-clusters --cluster-ids {first}"
    ):
        trigger()
    assert len(trigger.clusters) == 1


def test_the_same_event_delivered_again_starts_nothing_also_after_the_clusters_end(trigger):
    trigger.end(trigger({}, request="one")["cluster_id"])
    trigger.let_pass(600)
    assert "delivered before" in trigger({}, request="one")["reason"]
    assert trigger({}, request="two")["started"]


@pytest.mark.parametrize("moment", ["run_job_flow(*arguments, **named)", "None"])
def test_a_function_that_is_killed_before_or_after_it_started_the_cluster_leads_to_one(trigger, moment):
    script = f"""
import os, sys
sys.path.insert(0, {str(LAMBDA)!r})
import start_cluster, start_refit
emr = start_refit._emr(1)
run_job_flow = emr.run_job_flow
emr.run_job_flow = lambda *arguments, **named: ({moment}, os._exit(9))
start_cluster.handler({{}}, type("Context", (), {{"aws_request_id": "one"}}))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    if moment == "None":  # its claim holds others off for a while only
        trigger.let_pass(600)
        assert trigger({}, request="one")["started"]
    else:
        for cluster in trigger.clusters:
            trigger.end(cluster["Id"])
        assert "delivered before" in trigger({}, request="one")["reason"]
    assert len(trigger.clusters) == 1


def test_a_refusal_is_a_clear_error_and_blocks_no_later_request(trigger, monkeypatch):
    emr = trigger.shared._emr(1)
    run_job_flow = emr.run_job_flow
    answer = {"Error": {"Code": "ValidationException", "Message": "no such release"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    monkeypatch.setattr(emr, "run_job_flow", lambda **_: (_ for _ in ()).throw(ClientError(answer, "RunJobFlow")))
    with pytest.raises(trigger.shared.NotStarted, match="no such release"):
        trigger()
    monkeypatch.setattr(emr, "run_job_flow", run_job_flow)
    assert trigger()["started"]


def test_an_answer_that_was_lost_is_found_by_the_clusters_name(trigger, monkeypatch):
    emr = trigger.shared._emr(1)
    run_job_flow = emr.run_job_flow

    def lost(**named):
        run_job_flow(**named)
        raise EndpointConnectionError(endpoint_url="https://emr")

    monkeypatch.setattr(emr, "run_job_flow", lost)
    answer = trigger()
    assert answer["cluster_id"] == trigger.clusters[0]["Id"]
    assert len(trigger.clusters) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("FRUITPIPE_CLUSTER", "{"), ("FRUITPIPE_CLUSTER", "[]"), ("FRUITPIPE_IMAGES", ""), ("CLUSTER_TAG", "")]
)
def test_a_setting_that_is_missing_or_wrong_is_named(trigger, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(trigger.shared.NotStarted, match=name):
        trigger()
