"""The trigger: the step that an event becomes, and what is refused, each in words that say what to do."""

import json
import uuid

import pytest
from pydantic_settings import CliApp

from fruitpipe.settings import RefitSettings
from tests.aws.triggering import payload, start_cluster
from tests.deploy.policies import template


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        (None, []),
        ({}, []),
        ({"variance": 0.9}, ["--variance", "0.9"]),
        ({"variance": 1}, ["--variance", "1"]),
        ({"components": 200}, ["--components", "200"]),
        ({"variance": None, "components": 1}, ["--components", "1"]),
        ('{"components": 200}', ["--components", "200"]),
        ({"keep": 14, "unless_current": True}, ["--keep", "14", "--unless-current"]),
        ({"variance": 0.95, "unless_current": False}, ["--variance", "0.95"]),
        (payload("schedule"), []),
        (payload("rule"), []),
        (payload("schedule-with-input"), ["--variance", "0.9"]),
    ],
)
def test_the_refit_is_added_as_the_line_that_one_types(trigger, event, arguments):
    answer = trigger(event)
    (step,) = trigger.steps
    assert answer == {"started": True, "cluster_id": trigger.cluster_id, "step_id": step["Id"], "name": step["Name"]}
    assert step["Config"]["Jar"] == "command-runner.jar"
    assert step["Config"]["Args"] == ["spark-submit", "/opt/fruitpipe/batch/refit.py", "--root", trigger.root, *arguments]
    assert step["ActionOnFailure"] == "CONTINUE"


def test_the_templates_schedule_asks_for_what_the_refit_takes(trigger):
    """What was published stays comparable for as long as it may, and does not pile up."""
    asked = json.loads(f"{{{template()['Parameters']['RefitInput']['Default']}}}")
    trigger(payload("schedule-with-input") | asked)
    flags = trigger.steps[0]["Config"]["Args"][2:]
    settings = CliApp.run(RefitSettings, cli_args=flags)
    assert (settings.variance, settings.unless_current, settings.keep) == (0.95, True, 14)


def test_the_code_may_lie_elsewhere_on_the_cluster(trigger, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_HOME", "/mnt/fruitpipe/")
    trigger()
    assert trigger.steps[0]["Config"]["Args"][1] == "/mnt/fruitpipe/batch/refit.py"


def test_the_claim_names_the_step_and_who_asked_for_it(trigger):
    answer = trigger(payload("schedule-with-input"), "request-1")
    assert trigger.claim["step_id"] == answer["step_id"]
    assert answer["name"] == f"fruitpipe-refit-{trigger.claim['token']}"
    assert {"request:request-1", "execution:d32c5kddcf5bb8c3"} < set(trigger.claim["deliveries"])


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({"variance": 0.9, "components": 200}, "variance 0.9 and components 200 exclude each other"),
        ({"variance": 0}, "variance is 0;"),
        ({"variance": 1.1}, "variance is 1.1;"),
        ({"variance": float("nan")}, "variance is nan;"),
        ({"variance": "0.9"}, "variance is '0.9';"),
        ({"variance": True}, "variance is True;"),
        ({"components": 0}, "components is 0;"),
        ({"components": 65_537}, "components is 65537;"),
        ({"components": 12.0}, "components is 12.0;"),
        ({"components": True}, "components is True;"),
        ({"full": True}, "the event holds full;"),
        ({"keep": 0}, "keep is 0; give a whole number of versions, at least 1"),
        ({"unless_current": "yes"}, "unless_current is 'yes'; give true or false"),
        ({"unless_current": True, "components": 20}, "unless_current True and components 20 exclude each other"),
        ([1], "the event is [1];"),
        ("refit", "the event is 'refit';"),
        ({"detail-type": "Scheduled Event", "detail": "{"}, "the event is '{';"),
    ],
)
def test_an_event_that_asks_for_what_cannot_be_is_refused(trigger, event, complaint):
    with pytest.raises(trigger.module.NotStarted) as refused:
        trigger(event)
    assert complaint in str(refused.value)
    assert not trigger.steps


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"FRUITPIPE_ROOT": ""}, "FRUITPIPE_ROOT is ''"),
        ({"FRUITPIPE_ROOT": "/local"}, "FRUITPIPE_ROOT is '/local'"),
        ({"CLUSTER_ID": ""}, "set either CLUSTER_ID or CLUSTER_TAG"),
        ({"CLUSTER_TAG": "a=b"}, "set either CLUSTER_ID or CLUSTER_TAG"),
        ({"CLUSTER_ID": "", "CLUSTER_TAG": "fruitpipe"}, "CLUSTER_TAG is 'fruitpipe'"),
        ({"FRUITPIPE_GUARD_SECONDS": "2m"}, "FRUITPIPE_GUARD_SECONDS is '2m'"),
        ({"FRUITPIPE_ROOT": "s3://no-such-bucket-of-fruits/root"}, "NoSuchBucket"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(trigger, monkeypatch, settings, complaint):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(trigger.module.NotStarted, match=complaint):
        trigger()


def test_a_running_stream_leaves_room_for_the_refit_where_steps_run_side_by_side(trigger, emr):
    trigger.add_step("ingest", "streaming/ingest.py")
    emr.states["ingest"] = "RUNNING"
    assert trigger()["started"]


def test_a_stream_that_would_block_the_refit_is_found_before_it_is_added(trigger, emr):
    trigger.emr.modify_cluster(ClusterId=trigger.cluster_id, StepConcurrencyLevel=1)
    trigger.add_step("ingest", "streaming/ingest.py")
    emr.states["ingest"] = "RUNNING"
    with pytest.raises(trigger.module.NotStarted, match=r"\(ingest\) is RUNNING.*--step-concurrency-level 4"):
        trigger()
    assert not trigger.steps


def test_a_refit_that_does_not_end_is_a_clear_error_and_not_a_reason_to_wait_for_ever(trigger, emr, monkeypatch):
    emr.every_step = "RUNNING"
    first = trigger()["step_id"]
    trigger.let_pass(600)
    assert trigger()["reason"] == f"a refit is RUNNING: step {first} on cluster {trigger.cluster_id}"
    monkeypatch.setenv("FRUITPIPE_HUNG_HOURS", "0")
    with pytest.raises(trigger.module.NotStarted, match=f"is RUNNING for 0 h.*cancel-steps .* --step-ids {first}"):
        trigger()


def test_a_terminated_cluster_is_a_clear_error(trigger):
    trigger.emr.terminate_job_flows(JobFlowIds=[trigger.cluster_id])
    with pytest.raises(trigger.module.NotStarted, match=f"cluster {trigger.cluster_id} is TERMINATED; start another"):
        trigger()


def test_a_cluster_that_does_not_exist_is_a_clear_error(trigger, monkeypatch):
    monkeypatch.setenv("CLUSTER_ID", "j-GONE")
    with pytest.raises(trigger.module.NotStarted, match=r"there is no such cluster .*j-GONE.*; set CLUSTER_ID"):
        trigger()


def test_the_living_cluster_is_found_by_its_tag_among_namesakes(trigger, monkeypatch):
    tag = ("fruitpipe", uuid.uuid4().hex)
    terminated, untagged, other, meant = (
        start_cluster(trigger.emr, tags) for tags in ([tag], [], [("fruitpipe", "test")], [tag])
    )
    trigger.emr.terminate_job_flows(JobFlowIds=[terminated])
    monkeypatch.delenv("CLUSTER_ID")
    monkeypatch.setenv("CLUSTER_TAG", "=".join(tag))
    assert trigger()["cluster_id"] == meant
    assert all(not trigger.emr.list_steps(ClusterId=cluster)["Steps"] for cluster in (terminated, untagged, other))


@pytest.mark.parametrize("living", [0, 2])
def test_no_living_cluster_with_the_tag_or_several_is_a_clear_error(trigger, monkeypatch, living):
    tag = ("fruitpipe", uuid.uuid4().hex)
    clusters = [start_cluster(trigger.emr, [tag]) for _ in range(living)]
    monkeypatch.delenv("CLUSTER_ID")
    monkeypatch.setenv("CLUSTER_TAG", "=".join(tag))
    with pytest.raises(trigger.module.NotStarted, match="1 living cluster must have the tag") as refused:
        trigger()
    assert all(cluster in str(refused.value) for cluster in clusters or ["there is none"])


THROTTLED = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})


FULL = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."


@pytest.mark.parametrize("action", ["DescribeCluster", "ListSteps", "AddJobFlowSteps"])
def test_a_throttled_request_is_made_again_until_it_succeeds(trigger, emr, action):
    emr.refusals[action] = [THROTTLED] * 3
    assert trigger()["started"]
    assert emr.seen[action] == 4
    assert len(trigger.steps) == 1


def test_a_request_that_stays_throttled_is_a_clear_error_and_blocks_no_later_one(trigger, emr):
    emr.refusals["AddJobFlowSteps"] = [THROTTLED] * 5
    with pytest.raises(trigger.module.NotStarted, match=r"AddJobFlowSteps was still throttled .* try again later"):
        trigger(request="request-1")
    assert trigger(request="request-1")["started"]


def test_a_cluster_with_the_maximum_number_of_steps_is_a_clear_error_and_the_event_can_be_tried_later(trigger, emr):
    emr.refusals["AddJobFlowSteps"] = [(400, {"__type": "ValidationException", "message": FULL})]
    with pytest.raises(trigger.module.NotStarted, match="maximum number of steps pending or running, 256; try again later"):
        trigger(request="request-1")
    assert trigger(request="request-1")["started"]
    assert len(trigger.steps) == 1


def test_the_answer_is_logged_as_one_line_of_json(trigger, capsys):
    answer = trigger()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"action": "start-refit", **answer}
