"""The proxy that tests put before an S3 server: it passes on, counts, delays and fails as it was told."""

import json
import subprocess
import sys
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.s3_proxy import Proxy, started

BODY = bytes(range(256)) * 1000


@pytest.fixture
def client_of(s3):
    """A client that does not retry."""
    session = boto3.session.Session(s3.access_key, s3.secret_key, region_name=s3.region)

    def client_of(endpoint):
        return session.client("s3", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))

    return client_of


def test_it_passes_on_what_it_gets_and_counts_it_by_kind(s3, client_of):
    bucket = s3.bucket()
    with started(Proxy(s3.endpoint)) as proxy:
        client = client_of(proxy.endpoint)
        client.put_object(Bucket=bucket, Key="in/a b+c.jpg", Body=BODY)
        assert client.get_object(Bucket=bucket, Key="in/a b+c.jpg")["Body"].read() == BODY
        assert client.head_object(Bucket=bucket, Key="in/a b+c.jpg")["ContentLength"] == len(BODY)
        assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["in/a b+c.jpg"]
        with pytest.raises(ClientError, match=r"412|PreconditionFailed"):
            client.put_object(Bucket=bucket, Key="in/a b+c.jpg", Body=b"", IfNoneMatch="*")
        client.delete_object(Bucket=bucket, Key="in/a b+c.jpg")
    assert proxy.counts() == {"PUT": 2, "GET": 1, "HEAD": 1, "LIST": 1, "DELETE": 1}
    assert proxy.counts(within="/in/a b+c.jpg") == {"PUT": 2, "GET": 1, "HEAD": 1, "DELETE": 1}
    assert not proxy.failed()


@pytest.mark.parametrize("fault", ["slow-down", "reset", "lost-answer", "broken-body"])
def test_a_request_fails_in_the_way_that_was_asked_for(s3, client_of, fault):
    bucket = s3.bucket()
    s3.s3.put_object(Bucket=bucket, Key="x", Body=BODY)
    with started(Proxy(s3.endpoint, fail_share=1, faults=(fault,))) as proxy:
        client = client_of(proxy.endpoint)
        with pytest.raises((ClientError, BotoCoreError)) as caught:
            client.get_object(Bucket=bucket, Key="x")["Body"].read()
        with pytest.raises((ClientError, BotoCoreError)):
            client.put_object(Bucket=bucket, Key="y", Body=BODY)
    assert ("SlowDown" in str(caught.value)) == (fault == "slow-down")
    there = {entry["Key"] for entry in s3.s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert there == ({"x", "y"} if fault in ("lost-answer", "broken-body") else {"x"})
    assert proxy.failed() == {fault: 2}


def test_one_object_is_refused_as_often_as_was_asked_for(s3, client_of):
    bucket = s3.bucket()
    s3.s3.put_object(Bucket=bucket, Key="a b", Body=BODY)
    with started(Proxy(s3.endpoint, refusals={"a b": iter([(403, "AccessDenied")] * 2)})) as proxy:
        client = client_of(proxy.endpoint)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.get_object(Bucket=bucket, Key="a b")
        with pytest.raises(ClientError, match="403"):
            client.head_object(Bucket=bucket, Key="a b")
        assert client.get_object(Bucket=bucket, Key="a b")["Body"].read() == BODY


def test_the_same_seed_fails_the_same_requests():
    one, same, other = (Proxy("", fail_share=0.05, seed=seed) for seed in (1, 1, 2))
    fates = [[proxy.admit("GET", f"/b/{number}") for number in range(2000)] for proxy in (one, same, other)]
    assert fates[0] == fates[1] != fates[2]
    assert 60 < sum(fate is not None for fate in fates[0]) < 140


def test_as_a_process_it_delays_and_tells_its_counts(s3, client_of):
    bucket = s3.bucket()
    command = [sys.executable, "tests/s3_proxy.py", "--to", s3.endpoint, "--delay-seconds", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            endpoint = process.stdout.readline().strip()
            began = time.monotonic()
            client_of(endpoint).put_object(Bucket=bucket, Key="x", Body=b"1")
            assert time.monotonic() - began >= 0.2
            with urllib.request.urlopen(f"{endpoint}/-/counts", timeout=10) as answer:
                assert json.load(answer) == {"PUT": 1}
        finally:
            process.kill()
