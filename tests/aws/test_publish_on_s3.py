"""`fruitpipe publish` into S3: what a bucket that keeps versions has left of a version that is not current any more."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from fruitpipe.export import publishing
from fruitpipe.objects import s3_connection
from fruitpipe.refit import publication
from tests.raw_reader import hits, s3_versions
from tests.unit.test_dataset_folder import KIWI, LIME
from tests.versions import publish_rows


def test_of_an_image_that_is_gone_no_version_of_a_file_is_left(versioned_s3, tmp_path):
    root, image = f"file://{tmp_path}/root", next(iter(KIWI))
    with versioned_s3.here():
        s3_connection.connection.cache_clear()
        bucket = versioned_s3.bucket(keeps_versions=True)
        to = f"s3://{bucket}/dataset"
        publish_rows(root, KIWI | LIME)
        publishing.publish(root, to, "Fruits", "")
        assert hits(s3_versions(versioned_s3.s3, bucket), [image], ())
        second = publish_rows(root, {path: row for path, row in (KIWI | LIME).items() if path != image})
        publishing.publish(root, to, "Fruits", "")
        assert not hits(s3_versions(versioned_s3.s3, bucket), [image], ())
        keys = [one["Key"] for one in versioned_s3.s3.list_objects_v2(Bucket=bucket, Prefix="dataset/data/")["Contents"]]
        tables = [versioned_s3.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    rows = [row for body in tables for row in pq.read_table(io.BytesIO(body)).to_pylist()]
    folder = publication.reduced_uri(root, second).removeprefix("file://")
    by_path = {row["path"]: row for row in pq.read_table(folder).to_pylist()}
    assert {row["path"]: row for row in rows} == by_path
