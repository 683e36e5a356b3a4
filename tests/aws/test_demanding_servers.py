"""S3 servers and buckets that want requests to be other than boto3 sends them: each is told in a line with its cure."""

import json

import pytest

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, PlatformFault
from fruitpipe.objects import s3_connection
from fruitpipe.operations import doctor
from tests.s3_proxy import Proxy, started

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::{bucket}/*",
            "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
        }
    ],
}


@pytest.fixture
def server(aws, monkeypatch):
    """The emulator behind a proxy, which a test tells what to refuse; and a bucket there."""
    with started(Proxy(aws.endpoint)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3_connection.connection.cache_clear()
        proxy.bucket = aws.bucket()
        yield proxy
    s3_connection.connection.cache_clear()


def without_a_key(method, headers):
    if method == "PUT" and headers.get("x-amz-server-side-encryption") != "aws:kms":
        return 403, "AccessDenied", "Access Denied"
    return None


def with_a_checksum(method, headers):
    if method == "PUT" and headers.get("x-amz-sdk-checksum-algorithm"):
        return 400, "InvalidArgument", "Unsupported header 'x-amz-sdk-checksum-algorithm' received for this API call."
    return None


def test_a_server_that_does_not_know_the_newer_checksums_is_told_with_the_cure_which_works(server, monkeypatch):
    server.demands, uri = with_a_checksum, f"s3://{server.bucket}/a"
    with pytest.raises(PlatformFault, match=r"does not know S3's newer checksums .*CALCULATION=when_required and start again"):
        objects.write(uri, b"1")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    s3_connection.connection.cache_clear()
    objects.write(uri, b"1")
    assert objects.read(uri) == b"1"


def test_a_bucket_that_demands_a_key_is_told_apart_from_one_that_grants_nothing(server, aws, monkeypatch):
    server.demands, uri = without_a_key, f"s3://{server.bucket}/a"
    with pytest.raises(AccessDenied, match="grant list, read and write on the bucket"):
        objects.write(uri, b"1")
    policy = json.dumps(POLICY).replace("{bucket}", server.bucket)
    aws.s3.put_bucket_policy(Bucket=server.bucket, Policy=policy)
    with pytest.raises(AccessDenied, match=r"policy demands a key of KMS: name it, FRUITPIPE_KMS_KEY=arn:aws:kms:"):
        objects.write(uri, b"1")
    server.demands = lambda method, _: without_a_key(method, {})
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", KEY)
    with pytest.raises(AccessDenied, match=f"policy refuses FRUITPIPE_KMS_KEY={KEY}"):
        objects.write(uri, b"1")
    monkeypatch.delenv("FRUITPIPE_KMS_KEY")
    asked = doctor.Targets(root=f"s3://{server.bucket}/pipeline", images=None, model="", allowed_regions="any")
    (finding,) = [one for one in doctor.examine(asked) if one.name == "root"]
    assert "policy demands a key of KMS" in str(finding)


def test_one_setting_has_all_that_is_written_name_the_key(server, monkeypatch, load_lambda):
    server.demands, root = without_a_key, f"s3://{server.bucket}/pipeline"
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", KEY)
    objects.write(f"{root}/a", b"1")
    objects.copy(f"{root}/a", f"{root}/b")
    assert objects.read(f"{root}/b") == b"1"
    collector, claims = load_lambda("collect_events"), load_lambda("claims")
    batch = collector.Batch(lines={"{}"}, latest=collector.datetime.now(collector.UTC))
    assert objects.read(collector.write_manifest(batch, root)) == b"{}\n"
    assert claims.take(root, 60, "j-1", None, ["one"]).etag


def test_what_browsers_read_is_never_encrypted_with_the_key(server, monkeypatch):
    server.demands, uri = without_a_key, f"s3://{server.bucket}/app/index.html"
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", KEY)
    with pytest.raises(AccessDenied):
        objects.write_for_browsers(uri, b"1", lasts=False)
    objects.write(uri, b"1")


def test_a_key_that_may_not_be_used_is_told_as_such(server):
    said = (
        "User: arn:aws:iam::1:role/x is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:1:key/2"
    )
    server.demands = lambda method, _: (403, "AccessDenied", said) if method == "PUT" else None
    with pytest.raises(AccessDenied, match="grant kms:GenerateDataKey and kms:Decrypt on the key"):
        objects.write(f"s3://{server.bucket}/a", b"1")
