"""An S3 server on this machine for the benchmarks: versitygw over a temporary folder, which counts the requests it serves.

It is found on the PATH or where Go puts programs: `go install github.com/versity/versitygw/cmd/versitygw@latest`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION: Final = "eu-west-1"
ACCESS_KEY, SECRET_KEY = "fruitpipe", "fruitpipe-secret"
START_SECONDS = 20
KINDS = {"ListObjects": "LIST", "ListObjectsV2": "LIST", "DeleteObjects": "DELETE"}
# owner bucket [time] address requester id operation key target status ...
LOGGED = re.compile(r"\S+ \S+ \[.*?\] \S+ \S+ \S+ s3_(\w+) .*? /(\S*) (\d{3}) ")


@dataclass(frozen=True)
class S3Server:
    """A running S3 server: its endpoint, and the folder in which its buckets are folders and its objects files."""

    endpoint: str
    folder: Path
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which boto3 and S3A use this server and no other part of AWS."""
        return environment(self.endpoint)

    def bucket(self, name: str) -> Path:
        """A new bucket."""
        import boto3

        client = boto3.client("s3", endpoint_url=self.endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return self.folder / "buckets" / name

    def put_beside(self, bucket: str, keys: list[str], body: bytes) -> str:
        """Places objects in the server's folder, which is faster than asking it 100,000 times; returns their etag."""
        etag = hashlib.md5(body).hexdigest()
        for key in keys:
            path = self.folder / "buckets" / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            os.setxattr(path, "user.etag", etag.encode())
        return etag

    def requests(self) -> list[tuple[str, str]]:
        """Kind (LIST, GET, HEAD, ...) and bucket/key of every request so far, from the server's own log."""
        found = (LOGGED.match(line) for line in (self.folder / "access").read_text().splitlines())
        return [(_kind(match[1]), match[2]) for match in found if match]

    def counts(self) -> Counter[str]:
        """How many requests of each kind it has served."""
        return Counter(kind for kind, _ in self.requests())


def _kind(operation: str) -> str:
    return KINDS.get(operation, operation.removesuffix("Object").upper())


def environment(endpoint: str) -> dict[str, str]:
    """The environment of a process whose only S3 is `endpoint`."""
    return {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextlib.contextmanager
def started(folder: Path) -> Iterator[S3Server]:
    """Runs the server over `folder` until the block ends."""
    port = _free_port()
    (folder / "buckets").mkdir(parents=True)
    options = ["--port", f"127.0.0.1:{port}", "--region", REGION, "--keep-alive", "--quiet", "--health", "/health"]
    settings = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY, "PATH": os.environ["PATH"]}
    command = [_program(), *options, "--access-log", str(folder / "access"), "posix", str(folder / "buckets")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, env=settings, stdout=log, stderr=log) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield S3Server(f"http://127.0.0.1:{port}", folder, process.pid)
        finally:
            process.kill()


def _program() -> str:
    found = shutil.which("versitygw") or shutil.which("versitygw", path=str(Path.home() / "go" / "bin"))
    return found or sys.exit("no versitygw here: go install github.com/versity/versitygw/cmd/versitygw@latest")


def _wait(health: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=5):
            return
        time.sleep(0.05)
    sys.exit(f"versitygw did not start: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
