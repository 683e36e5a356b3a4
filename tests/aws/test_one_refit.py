"""One refit at a time, and one for each event: whatever is delivered twice, at once, or to a function that is killed."""

import io
import json
import subprocess
import sys
import threading
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import scripts
from tests.aws.triggering import payload, start_cluster

LAMBDA = Path(__file__).parents[2] / "lambda" / "start_refit.py"
ACTIVE = ["PENDING", "CANCEL_PENDING", "RUNNING"]


@pytest.mark.parametrize("state", ACTIVE)
def test_nothing_is_added_while_a_refit_is_pending_or_running(trigger, emr, state):
    first = trigger()
    emr.states[first["name"]] = state
    trigger.let_pass(3600)
    again = trigger()
    assert again == {"started": False, "reason": f"a refit is {state}: step {first['step_id']} on cluster {trigger.cluster_id}"}
    assert len(trigger.steps) == 1


def test_nothing_is_added_while_a_refit_runs_that_a_person_added(trigger, emr):
    trigger.add_step("by hand", "batch/refit.py")
    emr.states["by hand"] = "RUNNING"
    assert not trigger()["started"]


def test_many_invocations_at_the_same_moment_add_one_step(trigger):
    trigger.module._emr(), trigger.module._emr(1), trigger.module.claims._s3()
    together = threading.Barrier(8)

    def invoke(number):
        together.wait()
        return trigger(request=f"request-{number}")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(invoke, range(8)))
    assert [answer["started"] for answer in answers].count(True) == 1
    assert len(trigger.steps) == 1


def test_a_running_refit_that_several_find_at_once_stays_the_only_one(trigger, emr):
    emr.every_step = "RUNNING"
    test_many_invocations_at_the_same_moment_add_one_step(trigger)


def test_the_claim_holds_on_a_real_s3_server_too(trigger, s3, monkeypatch):
    trigger.bucket, trigger.aws = s3.bucket(), s3
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("FRUITPIPE_ROOT", f"s3://{trigger.bucket}/pipeline")
    test_many_invocations_at_the_same_moment_add_one_step(trigger)
    trigger.let_pass(600)
    assert trigger()["started"]
    assert len(trigger.steps) == 2


def test_two_functions_on_lambda_that_are_invoked_at_once_add_one_step(trigger, aws, emr, eventually):
    function = aws.client("lambda")
    name = f"start-refit-{uuid.uuid4().hex[:8]}"
    variables = {
        "CLUSTER_ID": trigger.cluster_id,
        "FRUITPIPE_ROOT": trigger.root,
        "AWS_ENDPOINT_URL_EMR": f"http://127.0.0.1:{emr.server_port}",
    }
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        for module in scripts.load("package").LAMBDAS["start_refit"]:
            archive.write(LAMBDA.with_name(f"{module}.py"), f"{module}.py")
    function.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/start-refit",
        Handler="start_refit.handler",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": variables},
        Timeout=60,
    )
    eventually(lambda: function.get_function(FunctionName=name)["Configuration"]["State"] == "Active")

    def invoke(_):
        return json.loads(function.invoke(FunctionName=name, Payload=b'{"components": 200}')["Payload"].read())

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(invoke, range(2)))
    assert sorted(answer["started"] for answer in answers) == [False, True]
    assert [step["Config"]["Args"][-2:] for step in trigger.steps] == [["--components", "200"]]


def killed(request, moment):
    """Runs the function in a process that ends without a word when it reaches `moment`."""
    script = f"""
import importlib.util, os, sys
sys.path.insert(0, {str(LAMBDA.parent)!r})
spec = importlib.util.spec_from_file_location("start_refit", {str(LAMBDA)!r})
module = sys.modules["start_refit"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
add_step = module.add_step
module.add_step = lambda *arguments: ({moment}, os._exit(9))
context = type("Context", (), {{"aws_request_id": {request!r}}})
module.handler({{}}, context)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9


def test_a_function_that_is_killed_right_after_it_added_the_step_has_started_it(trigger, emr):
    emr.every_step = "RUNNING"
    killed("request-1", "add_step(*arguments)")
    assert trigger.claim["step_id"] is None
    assert [trigger(request=request)["started"] for request in ("request-1", "request-2")] == [False, False]

    emr.every_step = "COMPLETED"
    trigger.let_pass(600)
    again = trigger(request="request-1")
    assert again == {"started": False, "reason": "this event was delivered before and its refit was started then"}
    assert len(trigger.steps) == 1
    assert trigger(request="request-3")["started"]
    assert len(trigger.steps) == 2


def test_a_function_that_is_killed_before_it_added_the_step_holds_others_off_for_a_while_only(trigger):
    killed("request-1", "None")
    for request in ("request-1", "request-2"):
        with pytest.raises(trigger.module.NotStarted, match="expires by itself"):
            trigger(request=request)
    assert 60 < trigger.claim["expires_at"] - trigger.claim["claimed_at"] <= 120
    trigger.let_pass(121)
    assert trigger(request="request-1")["started"]
    assert len(trigger.steps) == 1


def test_a_claimant_that_is_only_slow_is_waited_for(trigger, monkeypatch):
    added, may_add = threading.Event(), threading.Event()
    add_step = trigger.module.add_step

    def slowly(*arguments):
        added.set()
        may_add.wait(30)
        return add_step(*arguments)

    def look_again(_):
        may_add.set()
        first.result()

    monkeypatch.setattr(trigger.module, "add_step", slowly)
    monkeypatch.setattr(trigger.module.time, "sleep", look_again)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(trigger)
        added.wait(30)
        assert not trigger()["started"]
    assert first.result()["started"]
    assert len(trigger.steps) == 1


def test_the_same_event_delivered_again_starts_nothing_also_long_after_and_after_others(trigger):
    assert trigger(request="request-1")["started"]
    trigger.let_pass(600)
    assert not trigger(request="request-1")["started"]
    assert trigger(request="request-2")["started"]
    trigger.let_pass(600)
    assert not trigger(request="request-1")["started"]
    assert len(trigger.steps) == 2


@pytest.mark.parametrize("name", ["schedule", "rule", "schedule-with-input"])
def test_a_schedule_that_delivers_one_event_under_two_request_ids_starts_one_refit(trigger, name):
    first, second = payload(name), payload(name)
    second["execution_id" if "execution_id" in second else "id"] = "another attempt"
    assert trigger(first)["started"]
    trigger.let_pass(600)
    assert not trigger(second)["started"]
    second["scheduled_time" if "scheduled_time" in second else "time"] = "2026-11-06T02:00:00Z"
    second["execution_id" if "execution_id" in second else "id"] = "the next day"
    assert trigger(second)["started"]


def test_a_schedules_input_that_a_person_sends_as_it_is_names_no_event(trigger):
    event = {"execution_id": "<aws.scheduler.execution-id>", "scheduled_time": "<aws.scheduler.scheduled-time>"}
    assert trigger(event)["started"]
    trigger.let_pass(600)
    assert trigger(event)["started"]


def test_a_new_event_sooner_than_any_refit_can_end_starts_nothing(trigger, monkeypatch):
    first = trigger()
    answer = trigger()
    assert not answer["started"]
    assert first["step_id"] in answer["reason"]
    assert "the least interval is 60 s" in answer["reason"]
    monkeypatch.setenv("FRUITPIPE_MIN_INTERVAL_SECONDS", "0")
    assert trigger()["started"]


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"])
def test_a_new_event_after_the_step_has_ended_starts_a_new_one(trigger, emr, state):
    emr.states[trigger()["name"]] = state
    trigger.let_pass(600)
    assert trigger()["started"]
    assert len(trigger.steps) == 2


def test_a_refit_that_failed_at_once_may_be_started_again_at_once(trigger, emr):
    emr.states[trigger()["name"]] = "FAILED"
    assert trigger()["started"]


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"token": "x"}', b"\xff\xfe"])
def test_a_claim_that_cannot_be_read_blocks_nothing(trigger, body):
    trigger.aws.s3.put_object(Bucket=trigger.bucket, Key="pipeline/triggers/refit.json", Body=body)
    assert trigger()["started"]


def test_a_refit_of_a_cluster_that_is_gone_does_not_block_the_new_one(trigger, monkeypatch):
    trigger()
    trigger.emr.terminate_job_flows(JobFlowIds=[trigger.cluster_id])
    trigger.let_pass(600)
    trigger.cluster_id = start_cluster(trigger.emr)
    monkeypatch.setenv("CLUSTER_ID", trigger.cluster_id)
    assert trigger()["started"]


@pytest.mark.parametrize("added", ["add_step(*arguments)", "None"])
def test_a_claim_without_a_step_on_the_former_cluster_expires_though_its_steps_may_not_be_listed_any_more(
    trigger, monkeypatch, added
):
    """IAM names the present cluster alone, and says no more of a former one than that it may not be looked at."""
    killed("request-1", added)
    former, listed = trigger.cluster_id, trigger.module._steps
    trigger.cluster_id = start_cluster(trigger.emr)
    monkeypatch.setenv("CLUSTER_ID", trigger.cluster_id)

    def refused(cluster, **states):
        assert cluster != former
        return listed(cluster, **states)

    monkeypatch.setattr(trigger.module, "_steps", refused)
    with pytest.raises(trigger.module.NotStarted, match="expires by itself"):
        trigger(request="request-2")
    trigger.let_pass(121)
    assert trigger(request="request-2")["started"]


def test_a_step_whose_answer_was_lost_is_found_by_its_name_and_not_added_again(trigger, emr):
    emr.lost.add("AddJobFlowSteps")
    answer = trigger()
    assert answer["started"]
    assert [step["Id"] for step in trigger.steps] == [answer["step_id"]]


def test_a_server_error_leaves_the_claim_since_the_step_may_yet_appear(trigger, emr):
    emr.refusals["AddJobFlowSteps"] = [(500, {"__type": "InternalServerException", "message": "?"})]
    with pytest.raises(trigger.module.NotStarted, match="AddJobFlowSteps answered InternalServerException"):
        trigger(request="request-1")
    with pytest.raises(trigger.module.NotStarted, match="expires by itself"):
        trigger(request="request-1")
    trigger.let_pass(121)
    assert trigger(request="request-1")["started"]
