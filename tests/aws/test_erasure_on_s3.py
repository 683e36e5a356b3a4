"""Erasure where the bucket keeps versions: of the image, of the table's files, of every file that the stream rewrites."""

from __future__ import annotations

import io
import os
import shlex

import numpy as np
import pyarrow.parquet as pq
import pytest

from fruitpipe import cli, objects
from fruitpipe.erasure import register
from tests.commands import elsewhere
from tests.pictures import jpeg
from tests.raw_reader import hits, s3_versions

pytestmark = pytest.mark.spark


@pytest.fixture
def environment(versioned_s3):
    with versioned_s3.here():
        yield


@pytest.fixture
def job(environment):  # noqa: ARG001 - the process has it too
    """Runs a command, all in one process of its own, and returns what it said."""
    with elsewhere(os.environ) as commands:

        def job(*words):
            ended = commands.run(shlex.join(["fruitpipe", *words]))
            assert (ended.code, ended.stderr) == (0, "")
            return ended.stdout

        yield job


@pytest.fixture
def bucket(versioned_s3):
    name = versioned_s3.bucket()
    versioned_s3.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def vector_of(client, bucket, uri):
    """From the table's files, whichever has the row."""
    for name, body in s3_versions(client, bucket, "root/features/"):
        if name.endswith(".parquet") and "_delta_log" not in name:
            for row in pq.read_table(io.BytesIO(body)).to_pylist():
                if row["path"] == uri and row["features"]:
                    yield np.float32(row["features"]).tobytes()


def test_every_version_of_an_erased_image_and_of_what_was_made_of_it_is_gone(versioned_s3, bucket, job, capsys):
    client, root = versioned_s3.s3, f"s3://{bucket}/root"
    for seed, key in enumerate(["Kiwi/a b+c.jpg", "Kiwi/a%20b+c.jpg", "Lime/1.jpg", "Lime/2.jpg"]):
        client.put_object(Bucket=bucket, Key=f"in/{key}", Body=jpeg(seed + 10))
    client.put_object(Bucket=bucket, Key="in/Kiwi/a b+c.jpg", Body=jpeg(0))  # an earlier version stays
    stream = ["ingest", "--images", f"s3://{bucket}/in", "--root", root, "--once", "--erasure-grace-hours", "0"]
    assert "4 images featurised" in job(*stream)
    job("refit", "--root", root, "--components", "2")
    uri = f"s3://{bucket}/in/Kiwi/a b+c.jpg"
    vectors = tuple(vector_of(client, bucket, uri))
    assert vectors
    assert len(hits(s3_versions(client, bucket), ["in/Kiwi/a b+c.jpg"], vectors)) > 3

    with pytest.raises(SystemExit) as ended:
        cli.main(["erase", "--root", root, uri])
    assert not ended.value.code
    assert "2 objects and versions removed" in capsys.readouterr().out
    said = job(*stream)
    assert "no trace found" in said, said + str(records(client, bucket))
    assert "Deleted" not in said  # VACUUM's own word of what it did

    assert hits(s3_versions(client, bucket), ["in/Kiwi/a b+c.jpg"], vectors, beside=("in/Kiwi/a%20b+c.jpg",)) == []
    kept = {name for name, _ in s3_versions(client, bucket, "in/")}
    assert kept == {"in/Kiwi/a%20b+c.jpg", "in/Lime/1.jpg", "in/Lime/2.jpg"}
    (record,) = register.every(root)
    assert record.status == "done"
    assert record.places["earlier versions of files"]["removed"] > 0
    assert objects.children(f"{root}/reduced") == ["latest.json", "v000002/"]


def records(client, bucket):
    """The certificates' text, for a failing test."""
    listed = client.list_objects_v2(Bucket=bucket, Prefix="root/erasures/")["Contents"]
    return [client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in listed]
