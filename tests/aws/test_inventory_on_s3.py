"""A report of S3 Inventory in a bucket, as S3 lays it out, in place of a listing of the same bucket."""

import gzip
import json
from hashlib import md5
from urllib.parse import quote_plus

import pytest

from fruitpipe import objects
from fruitpipe.errors import NotFound
from fruitpipe.ingest.inventory import Inventory

CREATED = "1795136400000"  # in milliseconds


@pytest.fixture
def report(s3, bucket):
    """Writes a report of all that the bucket holds; returns its manifest's URI."""

    def report():
        there = s3.s3.list_objects_v2(Bucket=bucket)["Contents"]
        rows = [[bucket, quote_plus(one["Key"], safe="/"), one["Size"], one["ETag"].strip('"')] for one in there]
        body = gzip.compress("".join(",".join(f'"{value}"' for value in row) + "\n" for row in rows).encode())
        s3.s3.put_object(Bucket=bucket, Key="reports/id/data/0.csv.gz", Body=body)
        file = {"key": "reports/id/data/0.csv.gz", "size": len(body), "MD5checksum": md5(body, usedforsecurity=False).hexdigest()}
        about = {
            "sourceBucket": bucket,
            "creationTimestamp": CREATED,
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, Size, ETag",
        }
        s3.s3.put_object(
            Bucket=bucket, Key="reports/id/2026-11-20T01-00Z/manifest.json", Body=json.dumps(about | {"files": [file]})
        )
        return f"s3://{bucket}/reports/id/2026-11-20T01-00Z/manifest.json"

    return report


def test_a_report_tells_what_a_listing_tells(s3, bucket, report):
    for number, name in enumerate(["Kiwi/a b+c.jpg", "Kiwi/100%25.jpg", "pêche/🍓.jpg"]):
        s3.s3.put_object(Bucket=bucket, Key=f"in/{name}", Body=b"x" * number)
    images = f"s3://{bucket}/in"
    listed = {(stat.path, stat.etag, stat.length) for stat in objects.list_all(images)}
    assert {(stat.path, stat.etag, stat.length) for stat in Inventory.load(report(), images).stats(images)} == listed
    assert len(listed) == 3


def test_a_report_that_is_not_there_or_not_whole_is_told_of(s3, bucket, report):
    s3.s3.put_object(Bucket=bucket, Key="in/a.jpg", Body=b"x")
    uri, images = report(), f"s3://{bucket}/in"
    s3.s3.delete_object(Bucket=bucket, Key="reports/id/data/0.csv.gz")
    with pytest.raises(NotFound, match=r"0\.csv\.gz"):
        list(Inventory.load(uri, images).stats(images))
    with pytest.raises(NotFound, match=r"other\.json: there is no such object"):
        Inventory.load(f"s3://{bucket}/reports/id/other.json", images)
