import http.client
import io
import json
import socket
import subprocess
import sys
import threading
import urllib.parse
import uuid
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LAMBDA = TESTS.parent / "lambda" / "start_refit.py"
ACTIVE = ["PENDING", "CANCEL_PENDING", "RUNNING"]


class Emr(BaseHTTPRequestHandler):
    """Stands between a client and the emulator, whose steps complete at once and which refuses nothing.

    `states` says in which state a step is, by its name; `refusals` holds what the next requests of an action are answered with,
    and `lost` the actions whose answer does not arrive.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen[action] += 1
        if self.server.refusals.get(action):
            return self.answer(*self.server.refusals[action].pop(0))
        wanted = body.pop("StepStates", None)
        status, answer = self.forward(body)
        for step in answer.get("Steps", [answer["Step"]] if "Step" in answer else []):
            state = self.server.states.get(step["Name"], self.server.every_step)
            step["Status"]["State"] = state or step["Status"]["State"]
        if wanted:
            answer["Steps"] = [step for step in answer["Steps"] if step["Status"]["State"] in wanted]
        if action in self.server.lost:
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        return self.answer(status, answer)

    def forward(self, body):
        target = urllib.parse.urlsplit(self.server.target)
        connection = http.client.HTTPConnection(target.hostname, target.port)
        headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Content-Length")}
        connection.request("POST", self.path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def answer(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def emr(aws, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Emr)
    server.target, server.seen, server.states, server.every_step = aws.endpoint, Counter(), {}, None
    server.refusals, server.lost = {}, set()
    monkeypatch.setenv("AWS_ENDPOINT_URL_EMR", f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@dataclass
class Context:
    """What Lambda hands to a function beside the event."""

    aws_request_id: str

    def get_remaining_time_in_millis(self):
        return 60_000


class Trigger:
    """The function with its cluster and its root."""

    def __init__(self, module, aws, cluster_id, bucket):
        self.module, self.aws, self.cluster_id, self.bucket = module, aws, cluster_id, bucket
        self.root = f"s3://{bucket}/pipeline"
        self.emr = aws.client("emr")

    def __call__(self, event=None, request=None):
        return self.module.handler(event, Context(request or str(uuid.uuid4())))

    @property
    def steps(self):
        return [
            step
            for step in self.emr.list_steps(ClusterId=self.cluster_id)["Steps"]
            if step["Name"].startswith("fruitpipe-refit-")
        ]

    @property
    def claim(self):
        return json.loads(self.aws.s3.get_object(Bucket=self.bucket, Key="pipeline/triggers/refit.json")["Body"].read())

    def let_pass(self, seconds):
        """Makes the claim older, as if so much time had gone by."""
        claim = self.claim
        older = {name: claim[name] - seconds for name in ("claimed_at", "expires_at")}
        self.aws.s3.put_object(Bucket=self.bucket, Key="pipeline/triggers/refit.json", Body=json.dumps(claim | older))

    def add_step(self, name, script):
        jar = {"Jar": "command-runner.jar", "Args": ["spark-submit", f"/opt/fruitpipe/{script}"]}
        self.emr.add_job_flow_steps(JobFlowId=self.cluster_id, Steps=[{"Name": name, "HadoopJarStep": jar}])


def start_cluster(emr, tags=(), concurrency=2):
    return emr.run_job_flow(
        Name="fruits",
        ReleaseLabel="emr-spark-8.0.0",
        Instances={"KeepJobFlowAliveWhenNoSteps": True},
        StepConcurrencyLevel=concurrency,
        Tags=[{"Key": key, "Value": value} for key, value in tags],
    )["JobFlowId"]


@pytest.fixture
def trigger(aws, emr, load_lambda, monkeypatch):  # noqa: ARG001 - stands between the function and the emulator
    trigger = Trigger(load_lambda("start_refit"), aws, start_cluster(aws.client("emr")), aws.bucket())
    monkeypatch.setenv("CLUSTER_ID", trigger.cluster_id)
    monkeypatch.setenv("FRUITPIPE_ROOT", trigger.root)
    monkeypatch.setattr(trigger.module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(trigger.module, "BACKOFF_SECONDS", (0, 0, 0, 0))
    return trigger


def payload(name):
    return json.loads((TESTS / "events" / f"{name}.json").read_text())


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
        ({"components": 1281}, "components is 1281;"),
        ({"components": 12.0}, "components is 12.0;"),
        ({"components": True}, "components is True;"),
        ({"full": True}, "the event holds full;"),
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


def test_a_running_stream_leaves_room_for_the_refit_where_steps_run_side_by_side(trigger, emr):
    trigger.add_step("ingest", "streaming/ingest.py")
    emr.states["ingest"] = "RUNNING"
    assert trigger()["started"]


def test_a_stream_that_would_block_the_refit_is_found_before_it_is_added(trigger, emr):
    trigger.emr.modify_cluster(ClusterId=trigger.cluster_id, StepConcurrencyLevel=1)
    trigger.add_step("ingest", "streaming/ingest.py")
    emr.states["ingest"] = "RUNNING"
    with pytest.raises(trigger.module.NotStarted, match=r"\(ingest\) is RUNNING.*--step-concurrency-level 2"):
        trigger()
    assert not trigger.steps


def test_many_invocations_at_the_same_moment_add_one_step(trigger):
    trigger.module._emr(), trigger.module._emr(1), trigger.module._s3()
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
        archive.write(LAMBDA, LAMBDA.name)
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


def test_a_refit_of_a_cluster_that_is_gone_does_not_block_the_new_one(trigger, monkeypatch):
    trigger()
    trigger.emr.terminate_job_flows(JobFlowIds=[trigger.cluster_id])
    trigger.let_pass(600)
    trigger.cluster_id = start_cluster(trigger.emr)
    monkeypatch.setenv("CLUSTER_ID", trigger.cluster_id)
    assert trigger()["started"]


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


def test_the_answer_is_logged_as_one_line_of_json(trigger, capsys):
    answer = trigger()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"action": "start-refit", **answer}
