"""What an erasure asks of buckets: of a real S3 server, and of answers as S3 gives them for what that server does not have."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from fruitpipe import objects
from fruitpipe.erasure import elsewhere, image_objects, register
from fruitpipe.objects import bucket_settings, s3_connection

ON = {  # as the documentation of each operation shows an answer
    "versioning": "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    "object-lock": "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
    "lifecycle": "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status></Rule>"
    "<Rule><ID>off</ID><Status>Disabled</Status></Rule></LifecycleConfiguration>",
    "logging": "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>fruit/</TargetPrefix>"
    "</LoggingEnabled></BucketLoggingStatus>",
    "replication": "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><Destination>"
    "<Bucket>arn:aws:s3:::copy</Bucket></Destination></Rule></ReplicationConfiguration>",
    "inventory": "<ListInventoryConfigurationsResult><InventoryConfiguration><IsEnabled>true</IsEnabled><Id>i</Id><Destination>"
    "<S3BucketDestination><Bucket>arn:aws:s3:::lists</Bucket><Format>CSV</Format></S3BucketDestination></Destination>"
    "</InventoryConfiguration></ListInventoryConfigurationsResult>",
    "metadataConfiguration": "<GetBucketMetadataConfigurationResult><MetadataConfigurationResult><DestinationResult/>"
    "<JournalTableConfigurationResult><TableStatus>ACTIVE</TableStatus><TableName>journal</TableName>"
    "<TableArn>arn:aws:s3tables:journal</TableArn></JournalTableConfigurationResult></MetadataConfigurationResult>"
    "</GetBucketMetadataConfigurationResult>",
}
REFUSALS = {
    "off": [
        "ObjectLockConfigurationNotFoundError",
        "NoSuchLifecycleConfiguration",
        "ReplicationConfigurationNotFoundError",
        "MetadataConfigurationNotFound",
    ],
    "unknown": ["AccessDenied", "NotImplemented"],
}


class Answering(BaseHTTPRequestHandler):
    """Answers each subresource of a bucket as it is told; all others are unknown to it."""

    answers: ClassVar[dict[str, tuple[int, str]]] = {}

    def do_GET(self):
        asked = self.path.partition("?")[2].partition("=")[0].partition("&")[0]
        status, body = self.answers.get(asked, (501, "<Error><Code>NotImplemented</Code></Error>"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def answering(monkeypatch):
    """S3 as far as a bucket's settings go."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    s3_connection.connection.cache_clear()
    yield lambda answers: monkeypatch.setattr(Answering, "answers", answers)
    s3_connection.connection.cache_clear()
    server.shutdown()
    server.server_close()


def test_what_is_switched_on_is_said_with_where_it_goes(answering):
    answering({name: (200, body) for name, body in ON.items()})
    assert {one.name: one.answer for one in bucket_settings.of_bucket("fruits")} == {
        "versions": "on: Suspended",
        "object lock": "on: Enabled",
        "lifecycle": "on: old",
        "access logs": "on: s3://logs/fruit/",
        "replicas": "on: arn:aws:s3:::copy",
        "inventory reports": "on: arn:aws:s3:::lists",
        "metadata tables": "on: arn:aws:s3tables:journal",
    }


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in REFUSALS.items() for code in codes])
def test_what_is_off_and_what_may_not_be_asked_are_told_apart(answering, kind, code):
    answering(dict.fromkeys(ON, (404 if kind == "off" else 403, f"<Error><Code>{code}</Code></Error>")))
    expected = "off" if kind == "off" else f"unknown: {code}"
    assert {one.answer for one in bucket_settings.of_bucket("fruits")} == {expected}


def test_the_record_says_what_to_do_about_each_and_a_folder_has_none_of_them(answering):
    refusal = (403, "<Error><Code>AccessDenied</Code></Error>")
    answering({name: (200, body) for name, body in ON.items()} | {"uploads": refusal})
    told = {one["what"]: one for one in elsewhere.of("s3://fruits/root", {"s3://fruits/in/a.jpg"})}
    assert "delete-bucket-metadata-configuration --bucket fruits" in told["metadata tables of the bucket fruits"]["to_do"]
    assert told["uploads in parts that were never completed"]["answer"] == "unknown: AccessDenied"
    assert told["CloudTrail's data events"]["answer"] == "unknown"
    assert elsewhere.of("file:///root", {"file:///in/a.jpg"}) == []


@pytest.fixture
def bucket(s3, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    s3_connection.connection.cache_clear()
    yield s3.bucket()
    s3_connection.connection.cache_clear()


def begun(s3, bucket, key):
    upload = s3.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    s3.s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"a part")


def test_uploads_that_were_never_completed_go_with_the_images_and_others_stay(s3, bucket):
    for key in ("root/features/part.parquet", "rooted/other", "in/a.jpg", "in/a.jpg.bak", "in/b.jpg"):
        begun(s3, bucket, key)
    root, image = f"s3://{bucket}/root", f"s3://{bucket}/in/a.jpg"
    record = register.request(root, [image], requested_by="")
    image_objects.remove(root, record.id)
    hour = timedelta(hours=1)
    assert image_objects.abort_uploads(root, datetime.now(UTC) - hour) == 0  # a refit may be at it
    assert image_objects.abort_uploads(root, datetime.now(UTC) + hour) == 1
    left = {upload.path.partition(bucket)[2] for upload in objects.uploads(f"s3://{bucket}")}
    assert left == {"/rooted/other", "/in/a.jpg.bak", "/in/b.jpg"}
    told = {one["what"]: one["answer"] for one in elsewhere.of(root, {image})}
    assert told["uploads in parts that were never completed"] == "none of the images"
    assert told[f"versions of the bucket {bucket}"] == "off"
    if s3.name == "versitygw":
        assert told[f"metadata tables of the bucket {bucket}"] == "unknown: the server does not answer it"
