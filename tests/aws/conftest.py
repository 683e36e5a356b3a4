"""An AWS emulator and an S3 server, both over HTTP on the loopback, each started once when a test first asks for it."""

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader

from fruitpipe.objects import s3_connection
from fruitpipe.runtime import cache
from tests.aws.triggering import EmrServer, RefitTrigger
from tests.commands import elsewhere
from tests.ports import free_port

REGION = "eu-west-1"
ACCESS_KEY, SECRET_KEY = "fruitpipe", "fruitpipe-secret"
REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120  # other tests may be starting servers and Spark at the same time

# Each session reads the descriptions of AWS's services anew, half a second's work for a client; tests make hundreds of sessions.
_described = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda _self, path: _described(path)

# S3 URL-encodes the keys in its notifications and numbers the events of a key, and CloudFormation leaves behind what a template
# tells it to retain; this emulator does none of it.
EMULATOR = """
import time
from urllib.parse import quote_plus
from ministack import app
from ministack.services import cloudformation, s3
from ministack.services.cloudformation import stacks

def as_s3_sends_it(deliver):
    def encoded(arn, payload, region):
        for record in payload.get("Records", ()):
            about = record["s3"]["object"]
            about = {**about, "key": quote_plus(about["key"], safe="/"), "sequencer": f"{time.time_ns():018X}"}
            record["s3"] = {**record["s3"], "object": about}
        deliver(arn, payload, region)
    return encoded

def unless_retained(delete):
    def deleted(kind, physical_id, properties, stack_name=None, logical_id=None):
        resources = cloudformation._stacks[stack_name]["_template"]["Resources"]
        if not resources.get(logical_id, {}).get("DeletionPolicy", "").startswith("Retain"):
            delete(kind, physical_id, properties, stack_name, logical_id)
    return deleted

stacks._delete_resource = unless_retained(stacks._delete_resource)
s3._deliver_event_to_sqs = as_s3_sends_it(s3._deliver_event_to_sqs)
s3._deliver_event_to_sns = as_s3_sends_it(s3._deliver_event_to_sns)
app.main()
"""


@dataclass(frozen=True)
class Server:
    """Something that speaks AWS's protocols: all of them, or S3's alone."""

    name: str
    endpoint: str
    region: str = REGION
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    @property
    def environment(self):
        """What a process needs in its environment so that this is all the AWS it sees."""
        endpoint = "AWS_ENDPOINT_URL_S3" if self.name == "versitygw" else "AWS_ENDPOINT_URL"
        return {
            endpoint: self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @contextlib.contextmanager
    def here(self):
        """Until the block ends it is all the AWS that this process sees."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            s3_connection.connection.cache_clear()
            yield
        s3_connection.connection.cache_clear()

    def client(self, service: str) -> Any:
        return client(self, service)

    @property
    def s3(self) -> Any:
        return self.client("s3")

    def bucket(self, *, keeps_versions: bool = False) -> str:
        """A new, empty bucket."""
        name = f"fruits-{uuid.uuid4().hex[:16]}"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": self.region})
        if keeps_versions:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


@functools.cache
def client(server: Server, service: str) -> Any:
    """Each takes a third of a second to make."""
    session = boto3.session.Session(server.access_key, server.secret_key, region_name=server.region)
    return session.client(service, endpoint_url=server.endpoint)


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    """The emulator. Its `environment` is this process's own during each test that asks for it."""
    folder, port = tmp_path_factory.mktemp("emulator"), free_port()
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "AWS_DEFAULT_REGION": REGION}
    settings |= {"TMPDIR": str(folder), "STATE_DIR": str(folder / "state"), "S3_DATA_DIR": str(folder / "s3")}
    settings |= {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0"}  # they listen on ports that all emulators of a machine share
    with started([sys.executable, "-c", EMULATOR], settings, folder, f"http://127.0.0.1:{port}/_ministack/health"):
        yield Server("ministack", f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def s3(request, tmp_path_factory):
    """A real S3 server where there is one, else the emulator's S3."""
    if not versitygw():
        yield request.getfixturevalue("aws")
        return
    with versitygw_started(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def versioned_s3(tmp_path_factory):
    """A real S3 server whose buckets can keep versions."""
    if not versitygw():
        pytest.skip("needs versitygw: bash tests/install.sh; the emulator's S3 is no test of versions")
    with versitygw_started(tmp_path_factory.mktemp("versioned-s3"), versioned=True) as server:
        yield server


@pytest.fixture(scope="session")
def commands(s3):
    """A process for command lines on the S3 server."""
    with elsewhere(os.environ | s3.environment) as commands:
        yield commands


@pytest.fixture(autouse=True)
def _environment(request, monkeypatch):
    if "aws" in request.fixturenames:
        for name, value in request.getfixturevalue("aws").environment.items():
            monkeypatch.setenv(name, value)


@pytest.fixture
def load_lambda(monkeypatch):
    """Loads a new copy of a Lambda function's module, whose clients are yet to be made."""
    monkeypatch.syspath_prepend(REPOSITORY / "lambda")

    def load(name):
        monkeypatch.delitem(sys.modules, "claims", raising=False)  # which the functions that start something share
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "lambda" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)  # where a dataclass looks for its own module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="module")
def emr_server(aws):
    with EmrServer(aws.endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def emr(emr_server, monkeypatch):
    """What stands between the functions and the emulator's EMR."""
    emr_server.forget()
    monkeypatch.setenv("AWS_ENDPOINT_URL_EMR", f"http://127.0.0.1:{emr_server.server_port}")
    return emr_server


@pytest.fixture
def trigger(aws, emr, load_lambda, monkeypatch):  # noqa: ARG001 - stands between the function and the emulator
    """The function that starts a refit, with a cluster and a root of its own."""
    trigger = RefitTrigger(load_lambda("start_refit"), aws)
    monkeypatch.setenv("CLUSTER_ID", trigger.cluster_id)
    monkeypatch.setenv("FRUITPIPE_ROOT", trigger.root)
    monkeypatch.setattr(trigger.module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(trigger.module, "BACKOFF_SECONDS", (0, 0, 0, 0))
    return trigger


@pytest.fixture(scope="session")
def eventually():
    """Waits until a function gives something true, and returns that."""
    return wait_until


def wait_until(look, seconds=180):
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"nothing true came of {look} in {seconds} s"
        time.sleep(0.05)
    return seen


@contextlib.contextmanager
def started(command, settings, folder, health):
    """Runs a server in an environment of its own until the block ends; its children end with it."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | settings
    log = folder / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or answers(health), START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def versitygw_started(folder, *, versioned=False):
    """The S3 server, with its buckets in a folder, until the block ends; with `versioned` they can keep versions."""
    port = free_port()
    for name in ("buckets", "versions"):
        (folder / name).mkdir()
    settings = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    options = ["--port", f"127.0.0.1:{port}", "--region", REGION, "--health", "/health", "--quiet"]
    store = ["posix", *(["--versioning-dir", str(folder / "versions")] if versioned else []), str(folder / "buckets")]
    with started([versitygw(), *options, *store], settings, folder, f"http://127.0.0.1:{port}/health"):
        yield Server("versitygw", f"http://127.0.0.1:{port}")


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def versitygw():
    """The program of the S3 server, where it is installed."""
    folders = [cache.folder() / "bin"]
    if shutil.which("go"):
        answer = subprocess.run(["go", "env", "GOPATH"], capture_output=True, text=True, check=False)
        folders.append(Path(answer.stdout.strip()) / "bin")
    return shutil.which("versitygw") or next(
        (found for folder in folders if (found := shutil.which("versitygw", path=folder))), None
    )


@pytest.fixture
def bucket(s3, monkeypatch):
    """A new bucket, on the server that is this process's S3 as well."""
    s3_connection.connection.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    yield s3.bucket()
    s3_connection.connection.cache_clear()
