"""What an erasure asks of buckets: of a real S3 server, and of answers as S3 gives them for what that server does not have."""

from __future__ import annotations

import re
import threading
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from fruitpipe import objects
from fruitpipe.erasure import elsewhere, image_objects, register
from fruitpipe.objects import bucket_settings, s3_connection

ON = {  # as the documentation of each operation shows an answer
    "versioning": "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    "object-lock": "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
    "lifecycle": "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status></Rule>"
    "<Rule><ID>off</ID><Status>Disabled</Status></Rule></LifecycleConfiguration>",
    "logging": "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>fruit/</TargetPrefix>"
    "</LoggingEnabled></BucketLoggingStatus>",
    "replication": "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><Destination>"
    "<Bucket>arn:aws:s3:::copy</Bucket></Destination></Rule></ReplicationConfiguration>",
    "inventory": "<ListInventoryConfigurationsResult><InventoryConfiguration><IsEnabled>true</IsEnabled><Id>i</Id><Destination>"
    "<S3BucketDestination><Bucket>arn:aws:s3:::lists</Bucket><Format>CSV</Format><Prefix>daily</Prefix></S3BucketDestination></Destination>"
    "</InventoryConfiguration></ListInventoryConfigurationsResult>",
    "metadataConfiguration": "<GetBucketMetadataConfigurationResult><MetadataConfigurationResult><DestinationResult>"
    "<TableBucketType>aws</TableBucketType><TableBucketArn>arn:aws:s3tables:eu-west-1:1:bucket/aws-s3</TableBucketArn>"
    "<TableNamespace>b_fruits</TableNamespace></DestinationResult>"
    "<JournalTableConfigurationResult><TableStatus>ACTIVE</TableStatus><TableName>journal</TableName>"
    "</JournalTableConfigurationResult><InventoryTableConfigurationResult><ConfigurationState>ENABLED</ConfigurationState>"
    "<TableName>inventory</TableName></InventoryTableConfigurationResult><AnnotationTableConfigurationResult>"
    "<ConfigurationState>DISABLED</ConfigurationState></AnnotationTableConfigurationResult></MetadataConfigurationResult>"
    "</GetBucketMetadataConfigurationResult>",
}
UPLOADS = (
    "<ListMultipartUploadsResult><Upload><Key>in/a.jpg</Key><UploadId>u</UploadId><Initiated>2026-11-01T00:00:00Z</Initiated>"
)
UPLOADS += "</Upload></ListMultipartUploadsResult>"
# Those of which S3 answers an empty document where nothing is switched on.
EMPTY = {
    "versioning": (200, "<VersioningConfiguration/>"),
    "logging": (200, "<BucketLoggingStatus/>"),
    "inventory": (200, "<ListInventoryConfigurationsResult><IsTruncated>false</IsTruncated></ListInventoryConfigurationsResult>"),
    "uploads": (200, "<ListMultipartUploadsResult/>"),
}
RULES = (
    "<LifecycleConfiguration><Rule><ID>x</ID><Status>Enabled</Status><Filter><Prefix>{}</Prefix></Filter>{}</Rule>"
    "</LifecycleConfiguration>"
)
DAYS = "<Expiration><Days>30</Days></Expiration>"
OLD = "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays></NoncurrentVersionExpiration>"
UPLOAD = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
JOURNAL = ON["metadataConfiguration"].replace(
    "<TableName>journal</TableName>",
    "<TableName>journal</TableName><RecordExpiration><Expiration>ENABLED</Expiration><Days>10</Days></RecordExpiration>",
)
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
    """Answers each subresource of a bucket, or of that bucket alone, as it is told; all others are unknown to it."""

    answers: ClassVar[dict[str, tuple[int, str]]] = {}

    def do_GET(self):
        bucket, _, query = self.path.strip("/").partition("?")
        asked, more = re.match(r"([\w-]+)=?(.*)", query).groups()
        page = "second page" if "continuation-token" in more else asked
        found = self.answers.get(f"{bucket} {asked}", self.answers.get(page))
        status, body = found or (501, "<Error><Code>NotImplemented</Code></Error>")
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


def certified(**more):
    """The lines of a certificate for one bucket of images and root, by what they are of; printed, as for a person."""
    lines = elsewhere.of("s3://fruits/root", {"s3://fruits/in/a.jpg", "s3://fruits/in/b.jpg"}, **more)
    for one in lines:
        print(" | ".join(one.values()))
    return {one["what"].partition(" of the bucket ")[0]: one for one in lines}


def after(days):
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def test_what_is_switched_on_is_said_with_where_it_goes(answering):
    answering({name: (200, body) for name, body in ON.items()})
    assert {one.name: one.answer for one in bucket_settings.of_bucket("fruits").values()} == {
        "versions": "on: Suspended",
        "object lock": "on: governance for 3 days",
        "lifecycle": "on: old",
        "access logs": "on: s3://logs/fruit/",
        "replicas": "on: s3://copy/",
        "inventory reports": "on: s3://lists/daily/fruits/i/",
        "metadata tables": "on: journal table journal, inventory table inventory",
    }


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in REFUSALS.items() for code in codes])
def test_what_is_off_and_what_may_not_be_asked_are_told_apart(answering, kind, code):
    answering(dict.fromkeys(ON, (404 if kind == "off" else 403, f"<Error><Code>{code}</Code></Error>")))
    expected = "off" if kind == "off" else f"unknown: {code}"
    assert {one.answer for one in bucket_settings.of_bucket("fruits").values()} == {expected}
    states = {name: one["state"] for name, one in certified().items() if name in bucket_settings.SETTINGS}
    assert set(states.values()) == {expected.partition(":")[0]}


@pytest.mark.parametrize("body", ["<ListBucketResult><Name>fruits</Name><IsTruncated>false</IsTruncated></ListBucketResult>", ""])
def test_a_server_that_answers_another_question_has_not_said_that_anything_is_off(answering, body):
    answering(dict.fromkeys((*ON, "encryption", "publicAccessBlock"), (200, body)))
    found = [*bucket_settings.of_bucket("fruits").values(), *bucket_settings.protection("fruits").values()]
    assert {one.answer for one in found} == {"unknown: the server does not answer it"}


@pytest.mark.parametrize(
    ("switched_on", "name", "state", "to_do"),
    [
        ("versioning", "versions", "cleaned", "nothing"),
        ("object-lock", "object lock", "cleaned", "nothing"),
        ("versioning", "lifecycle", "to do", "aws s3api put-bucket-lifecycle-configuration --bucket fruits"),
        ("logging", "access logs", "to do", "aws s3 rm --recursive s3://logs/fruit/"),
        ("replication", "replicas", "to do", "aws s3api list-object-versions --bucket copy --prefix 'KEY'"),
        ("inventory", "inventory reports", "to do", "aws s3 rm --recursive s3://lists/daily/fruits/i/"),
        ("metadataConfiguration", "metadata tables", "to do", "--namespace b_fruits --name journal"),
        ("uploads", "incomplete uploads", "to do", "abort-multipart-upload --bucket fruits --key KEY"),
    ],
)
def test_each_that_is_switched_on_alone_has_its_line(answering, switched_on, name, state, to_do):
    none = (404, "<Error><Code>NoSuchConfiguration</Code></Error>")
    answering(dict.fromkeys(ON, none) | EMPTY | {switched_on: (200, ON.get(switched_on, UPLOADS))})
    told = certified()
    assert told[name]["state"] == state
    assert to_do in told[name]["to_do"]
    others = {other for other, line in told.items() if line["state"] == "to do"} - {name, "lifecycle"}
    assert others == set()
    assert "a.jpg" not in str(told)


def test_what_expires_by_a_rule_of_the_bucket_that_it_lies_in_is_told_with_the_day(answering):
    answering(
        {name: (200, body) for name, body in ON.items()}
        | {
            "uploads": (200, UPLOADS),
            "metadataConfiguration": (200, JOURNAL),
            "fruits lifecycle": (200, RULES.format("", OLD + UPLOAD)),
            "logs lifecycle": (200, RULES.format("fruit/", DAYS)),
            "logs versioning": (200, "<VersioningConfiguration/>"),
            "lists lifecycle": (200, RULES.format("daily/", DAYS + OLD)),
            "copy lifecycle": (403, "<Error><Code>AccessDenied</Code></Error>"),
        }
    )
    told = {name: (one["state"], one["until"]) for name, one in certified().items()}
    assert told == {
        "versions": ("cleaned", ""),
        "object lock": ("cleaned", ""),
        "lifecycle": ("expires", after(4)),
        "access logs": ("expires", after(32)),
        "replicas": ("to do", ""),
        "inventory reports": ("expires", after(34)),
        "metadata tables": ("expires", after(12)),
        "incomplete uploads": ("expires", after(9)),
        "CloudTrail's data events": ("unknown", ""),
        "backups": ("unknown", ""),
    }


def test_inventories_on_a_second_page_are_told_as_well(answering):
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListInventoryConfigurationsResult>"
    first = ON["inventory"].replace("</ListInventoryConfigurationsResult>", more)
    answering({"inventory": (200, first), "second page": (200, ON["inventory"].replace("<Id>i<", "<Id>j<"))})
    found = bucket_settings.of_bucket("fruits")["inventory reports"].answer
    assert found == "on: s3://lists/daily/fruits/i/, s3://lists/daily/fruits/j/"


def test_objects_that_stay_are_told_beside_the_versions_and_a_folder_has_no_lines(answering):
    answering({name: (200, body) for name, body in ON.items()} | {"uploads": (403, "<Error><Code>AccessDenied</Code></Error>")})
    told = certified(remains=True)
    assert (told["versions"]["state"], told["object lock"]["state"]) == ("to do", "to do")
    assert (told["incomplete uploads"]["state"], told["incomplete uploads"]["answer"]) == ("unknown", "unknown: AccessDenied")
    assert elsewhere.of("file:///root", {"file:///in/a.jpg"}) == []


def bucket_with_all_that_the_emulator_has(aws):
    """Its name; an upload to in/a.jpg is incomplete."""
    there, copy, bucket = aws.bucket(), aws.bucket(), f"fruits-{uuid.uuid4().hex[:16]}"
    aws.s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region}, ObjectLockEnabledForBucket=True
    )
    for one in (bucket, copy):
        aws.s3.put_bucket_versioning(Bucket=one, VersioningConfiguration={"Status": "Enabled"})
    noncurrent = {"ID": "n", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 7}}
    logs = {"ID": "l", "Status": "Enabled", "Filter": {"Prefix": "of-s3/"}, "Expiration": {"Days": 20}}
    for one, rule in ((bucket, noncurrent), (there, logs)):
        aws.s3.put_bucket_lifecycle_configuration(Bucket=one, LifecycleConfiguration={"Rules": [rule]})
    enabled = {"TargetBucket": there, "TargetPrefix": "of-s3/fruit/"}
    aws.s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    rule = {"Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""}, "Destination": {"Bucket": f"arn:aws:s3:::{copy}"}}
    rule["DeleteMarkerReplication"] = {"Status": "Disabled"}
    role = "arn:aws:iam::000000000000:role/copies"
    aws.s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": role, "Rules": [rule]})
    aws.s3.create_multipart_upload(Bucket=bucket, Key="in/a.jpg")
    return bucket


def test_the_bucket_of_an_app_that_holds_sums_is_asked_too(aws):
    s3_connection.connection.cache_clear()
    bucket = bucket_with_all_that_the_emulator_has(aws)
    lines = elsewhere.of("file:///root", {"file:///in/a.jpg"}, exports=[f"s3://{bucket}/app"])
    told = {one["what"]: one["state"] for one in lines}
    assert told[f"versions of the bucket {bucket}"] == "cleaned"
    assert told[f"replicas of the bucket {bucket}"] == "to do"
    assert f"backups of the bucket {bucket}" in told
    assert elsewhere.of("file:///root", {"file:///in/a.jpg"}) == []


def test_the_emulators_bucket_answers_what_was_put_into_it(aws):
    s3_connection.connection.cache_clear()
    bucket = bucket_with_all_that_the_emulator_has(aws)
    lines = elsewhere.of(f"s3://{bucket}/root", {f"s3://{bucket}/in/a.jpg"})
    told = {one["what"].partition(" of the bucket ")[0]: (one["state"], one["until"]) for one in lines}
    assert told == {
        "versions": ("cleaned", ""),
        "object lock": ("cleaned", ""),
        "lifecycle": ("expires", after(9)),
        "access logs": ("expires", after(22)),
        "replicas": ("to do", ""),
        "inventory reports": ("unknown", ""),  # the emulator lists the bucket instead
        "metadata tables": ("unknown", ""),
        "incomplete uploads": ("to do", ""),
        "CloudTrail's data events": ("unknown", ""),
        "backups": ("unknown", ""),
    }
    s3_connection.connection.cache_clear()


@pytest.fixture
def bucket(s3):
    with s3.here():
        yield s3.bucket()


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
    assert told[f"incomplete uploads of the bucket {bucket}"] == "none of the images"
    assert told[f"versions of the bucket {bucket}"] == "off"
    if s3.name == "versitygw":
        assert told[f"metadata tables of the bucket {bucket}"] == "unknown: the server does not answer it"
