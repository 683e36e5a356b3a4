"""The jobs with images, table and results on an S3 server over HTTP: S3A and boto3, the same commands as on a folder.

Those of docs/getting-started.md for a bucket are run as they stand there.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.objects import s3_connection
from fruitpipe.refit import publication
from fruitpipe.root import lease
from tests.commands import of_page
from tests.pictures import jpeg

pytestmark = pytest.mark.spark


@pytest.fixture
def environment(s3, monkeypatch):
    """The S3 of these tests is the server's, too."""
    s3_connection.connection.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    yield
    s3_connection.connection.cache_clear()


@pytest.fixture
def job(environment, commands):  # noqa: ARG001 - the bucket's checks of this process need it
    def job(name, *arguments):
        return commands.run(shlex.join(["fruitpipe", name, *arguments]))

    return job


def upload(bucket, s3, names):
    for seed, name in enumerate(names):
        s3.s3.put_object(Bucket=bucket, Key=name, Body=jpeg(seed))


def test_images_table_and_results_live_in_s3(s3, job):
    images, root = f"s3://{s3.bucket()}/in", f"s3://{s3.bucket()}/pipe/root"
    bucket = images.split("/")[2]
    keys = [
        f"in/{label}/{name}" for label in ("Apple Golden 2", "Kiwi") for name in ("a b.jpg", "a+b.JPG", "a%20b.jpg", "pêche.jpg")
    ]
    upload(bucket, s3, keys)
    s3.s3.put_object(Bucket=bucket, Key="in/Kiwi/empty.jpg", Body=b"")

    ingested = job("ingest", "--images", images, "--root", root, "--once")
    assert (ingested.code, ingested.stderr) == (0, "")
    assert ingested.stdout.splitlines()[-1] == "ingest: 8 images featurised, 1 failed"

    s3.s3.put_object(Bucket=bucket, Key=keys[0], Body=jpeg(50))
    s3.s3.delete_object(Bucket=bucket, Key=keys[1])
    planned = job("reconcile", "--images", images, "--root", root, "--allow-removals")
    assert planned.stdout.splitlines()[0] == "reconcile: 0 new, 1 changed, 1 gone, 0 stale, 0 to look at again", planned.stderr
    followed = job("ingest", "--images", images, "--root", root, "--once", "--source", "events")
    assert followed.stdout.splitlines()[-1] == "ingest: 1 images featurised, 0 failed, 1 gone", followed.stderr

    refitted = job("refit", "--root", root, "--components", "4")
    assert (refitted.code, refitted.stderr) == (0, "")
    assert "k = 4 keeps" in refitted.stdout
    reduction = publication.load_reduction(root)
    assert reduction.transform(np.zeros((2, 1280), np.float32)).shape == (2, 4)
    assert [child for child in objects.children(f"{root}/reduced") if child.endswith("/")] == ["v000001/"]


def test_the_commands_for_ones_own_bucket_do_what_the_page_says(s3, commands):
    bucket = s3.bucket()
    for number in range(6):
        s3.s3.put_object(Bucket=bucket, Key=f"images/{('Kiwi', 'Lemon')[number % 2]}/{number}.jpg", Body=jpeg(number))
    lines = [line.replace("s3://fruits", f"s3://{bucket}") for line in of_page("getting-started.md")["bucket"]]
    ended = [commands.run(line) for line in lines]
    assert [(one.code, one.stderr) for one in ended] == [(0, "")] * len(lines)
    doctor, ingested, status, refitted, report = (one.stdout for one in ended)
    assert "ok    root" in doctor
    assert ingested.splitlines()[-1] == "ingest: 6 images featurised, 0 failed"
    assert "6: 6 featurised, 0 failed" in status
    assert any(line.startswith("v000001: 6 rows, 2 labels") for line in refitted.splitlines())
    assert report.splitlines()[-1] == f"s3://{bucket}/pipe/reports/v000001.html"
    page = s3.s3.get_object(Bucket=bucket, Key="pipe/reports/v000001.html")["Body"].read()
    assert page.count(b"data:image/webp;base64,") == 6


def test_a_second_stream_on_a_root_in_s3_is_refused_before_it_writes(s3, job):
    images, root = f"s3://{s3.bucket()}/in", f"s3://{s3.bucket()}/root"
    upload(images.split("/")[2], s3, ["in/Kiwi/0.jpg"])
    with lease.held(root, lease_seconds=4.0):  # which is renewed each second
        second = job("ingest", "--images", images, "--root", root, "--once")
        assert objects.children(root) == ["writer.json"]
    assert (second.code, len(second.stdout.splitlines()), len(second.stderr.splitlines())) == (1, 1, 1)
    assert f"{root} is held by" in second.stdout
    assert f"error: {root} is being written by" in second.stderr
    assert f"process {os.getpid()} since 20" in second.stderr


def test_what_is_wrong_with_a_bucket_is_one_line(s3, job):
    images, root = f"s3://{s3.bucket()}/in", f"s3://{s3.bucket()}/root"
    upload(images.split("/")[2], s3, ["in/Kiwi/0.jpg"])
    cases = {
        "there is no bucket no-such-bucket-of-ours": {"images": "s3://no-such-bucket-of-ours/in"},
        "there is nothing there": {"images": f"{images}/elsewhere"},
        "there are no features yet": {"name": "refit"},
        "there is no bucket no-such-root-of-ours": {"name": "refit", "root": "s3://no-such-root-of-ours/r"},
    }
    for expected, case in cases.items():
        name = case.get("name", "ingest")
        given = ("--images", case.get("images", images)) if name == "ingest" else ()
        done = job(name, "--root", case.get("root", root), *given)
        assert (done.code, len(done.stderr.splitlines())) == (1, 1), done.stderr
        assert expected in done.stderr
    assert not objects.exists(root)


def test_credentials_that_are_not_valid_are_one_line(s3):
    if s3.name != "versitygw":
        pytest.skip("needs versitygw: bash tests/install.sh; the emulator takes any secret")
    images, root = f"s3://{s3.bucket()}/in", f"s3://{s3.bucket()}/root"
    command = [Path(sys.executable).with_name("fruitpipe"), "ingest", "--images", images, "--root", root, "--once"]
    wrong = os.environ | s3.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    done = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "credentials are not valid" in done.stderr
