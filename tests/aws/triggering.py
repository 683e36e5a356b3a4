"""What the tests of both triggers share: a call as Lambda makes it, the claim, and what stands between a trigger and EMR."""

import http.client
import json
import socket
import urllib.parse
import uuid
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EVENTS = Path(__file__).parents[1] / "events"


@dataclass
class Context:
    """What Lambda hands to a function beside the event."""

    aws_request_id: str

    def get_remaining_time_in_millis(self):
        return 60_000


class Trigger:
    """A function, and its claim under the root of a bucket of its own."""

    def __init__(self, module, aws):
        self.module, self.aws, self.bucket, self.emr = module, aws, aws.bucket(), aws.client("emr")

    def __call__(self, event=None, request=None):
        return self.module.handler(event, Context(request or str(uuid.uuid4())))

    @property
    def root(self):
        return f"s3://{self.bucket}/pipeline"

    @property
    def place(self):
        return {"Bucket": self.bucket, "Key": "pipeline/triggers/refit.json"}

    @property
    def claim(self):
        return json.loads(self.aws.s3.get_object(**self.place)["Body"].read())

    def let_pass(self, seconds):
        """Makes the claim older, as if so much time had gone by."""
        claim = self.claim
        older = {name: claim[name] - seconds for name in ("claimed_at", "expires_at")}
        self.aws.s3.put_object(**self.place, Body=json.dumps(claim | older))


class RefitTrigger(Trigger):
    """The function that adds a step to a cluster that is there."""

    def __init__(self, module, aws):
        super().__init__(module, aws)
        self.cluster_id = start_cluster(self.emr)

    @property
    def steps(self):
        added = self.emr.list_steps(ClusterId=self.cluster_id)["Steps"]
        return [step for step in added if step["Name"].startswith("fruitpipe-refit-")]

    def add_step(self, name, script):
        jar = {"Jar": "command-runner.jar", "Args": ["spark-submit", f"/opt/fruitpipe/{script}"]}
        self.emr.add_job_flow_steps(JobFlowId=self.cluster_id, Steps=[{"Name": name, "HadoopJarStep": jar}])


def start_cluster(emr, tags=(), concurrency=2):
    return emr.run_job_flow(
        Name="fruits",
        ReleaseLabel="emr-spark-8.1.0",
        Instances={"KeepJobFlowAliveWhenNoSteps": True},
        StepConcurrencyLevel=concurrency,
        Tags=[{"Key": key, "Value": value} for key, value in tags],
    )["JobFlowId"]


def payload(name):
    return json.loads((EVENTS / f"{name}.json").read_text())


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


class EmrServer(ThreadingHTTPServer):
    """Passes on to the emulator, in the manner that a test has asked for."""

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), Emr)
        self.target = target
        self.forget()

    def forget(self):
        """Nothing was seen, and nothing is to be refused, lost or changed."""
        self.seen, self.states, self.every_step = Counter(), {}, None
        self.refusals, self.lost = {}, set()
