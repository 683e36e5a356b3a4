"""The stream on an S3 server that fails: a share of all requests, the lease's, the table's and the checkpoint's included.

    python tests/soak/s3_faults.py [--images 2000] [--fail-share 0.05] [--seed 0]

A failing request is refused with 503 SlowDown, never arrives, loses its answer, or gets half of it. All rows must be right; the
two objects that the server will not give are `unreadable`, and right when a later look may read them.
Needs versitygw (`go install github.com/versity/versitygw/cmd/versitygw@latest`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # the tests are no installed package

from tests import oracle  # noqa: E402
from tests.aws.conftest import Server, versitygw, versitygw_started  # noqa: E402
from tests.pictures import jpeg  # noqa: E402
from tests.s3_proxy import Proxy, started  # noqa: E402

BAD = {b"": "empty", jpeg(0)[:500]: "truncated"}
# One object that may not be read and one whose own key is missing, both fixed later; one that is refused only three times.
REFUSED = {"in/Label 1/00001.jpg": (403, "AccessDenied"), "in/Label 2/00002.jpg": (400, "InvalidRequest")}
SLOW = "in/Label 3/00003.jpg"
DEADLINE_SECONDS = 900


def upload(server: Server, bucket: str, count: int) -> dict[str, bytes]:
    """`count` images and two that are none, by their URIs."""
    keys = [f"in/Label {number % 20}/{number:05}.jpg" for number in range(count)] + ["in/Kiwi/empty.jpg", "in/Kiwi/cut.jpg"]
    bodies = [jpeg(number) for number in range(count)] + list(BAD)
    with ThreadPoolExecutor(8) as uploads:
        list(uploads.map(lambda key, body: server.s3.put_object(Bucket=bucket, Key=key, Body=body), keys, bodies))
    return {f"s3://{bucket}/{key}": body for key, body in zip(keys, bodies, strict=True)}


def run(proxy: Proxy, server: Server, bucket: str, script: str, *flags: str) -> str:
    """A job as anybody starts it, its S3 behind the proxy; its last line."""
    environment = os.environ | server.environment | {"AWS_ENDPOINT_URL_S3": proxy.endpoint}
    command = [sys.executable, script, "--images", f"s3://{bucket}/in", "--root", f"s3://{bucket}/root", *flags]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.splitlines()[-1]


def soak(server: Server, count: int, proxy: Proxy, rows: Callable[[str], list[oracle.Row]]) -> list[str]:
    """Uploads, ingests through the proxy and compares; what the jobs said. `rows` reads the table at a root.

    Raises AssertionError with the rows that differ.
    """
    bucket = server.bucket()
    bodies, root = upload(server, bucket, count), f"s3://{bucket}/root"
    proxy.refusals = {key: itertools.repeat(refusal) for key, refusal in REFUSED.items()}
    proxy.refusals[SLOW] = iter([(503, "SlowDown")] * 3)
    said = [run(proxy, server, bucket, "streaming/ingest.py", "--once")]
    unreadable = [row for row in rows(root) if row[4] == "unreadable"]
    assert sorted(row[0] for row in unreadable) == sorted(f"s3://{bucket}/{key}" for key in REFUSED), unreadable
    proxy.refusals.clear()
    said.append(run(proxy, server, bucket, "batch/reconcile.py"))
    said.append(run(proxy, server, bucket, "streaming/ingest.py", "--once", "--source", "events"))
    assert not (wrong := oracle.differences(oracle.expected_rows(f"s3://{bucket}/in", bodies, BAD), rows(root))), wrong
    return said


def main() -> None:
    from fruitpipe.runtime import session
    from fruitpipe.table import delta

    parser = argparse.ArgumentParser(description="The stream on an S3 server that fails a share of all requests.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--fail-share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not versitygw():
        sys.exit("versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@latest")
    with tempfile.TemporaryDirectory(prefix="fruitpipe-soak-") as folder, versitygw_started(Path(folder)) as server:
        os.environ |= server.environment
        spark = session.open("fruitpipe soak", "s3://")
        with started(Proxy(server.endpoint, fail_share=given.fail_share, seed=given.seed)) as proxy:
            began = time.monotonic()
            said = soak(server, given.images, proxy, lambda root: oracle.actual_rows(delta.rows(spark, root)))
        spark.stop()
    for line in said:
        print(line)
    print(f"seed {given.seed}: {proxy.counts().total()} requests {dict(proxy.counts())}, failed {dict(proxy.failed())}")
    print(f"{given.images + len(BAD)} images in {time.monotonic() - began:.0f} s, all rows right")


if __name__ == "__main__":
    main()
