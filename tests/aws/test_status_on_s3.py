"""Status and errors read a table on an S3 server over HTTP, with the credentials and the endpoint that boto3 finds. No Spark."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from fruitpipe import cli
from fruitpipe.objects import s3_connection
from fruitpipe.table import storage_options

AT = datetime(2026, 11, 5, 10, tzinfo=UTC)


@pytest.fixture
def root(s3, monkeypatch):
    """A table of two labels in two commits, one image failed; the credentials stand in the environment alone."""
    s3_connection.connection.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    root = f"s3://{s3.bucket()}/pipe/root"
    for first, reason in ((0, None), (2, "truncated")):
        columns = {
            "path": [f"s3://fruit/Kiwi/{number}.jpg" for number in (first, first + 1)],
            "label": ["Kiwi", "Lemon"],
            "error": pa.array([None, reason], pa.string()),
            "error_message": pa.array([None, reason and "12 bytes"], pa.string()),
            "length": [5, 6],
            "extractor": ["5f18", "5f18"],
            "modification_time": pa.array([AT - timedelta(seconds=3)] * 2, pa.timestamp("us", "UTC")),
            "ingested_at": pa.array([AT] * 2, pa.timestamp("us", "UTC")),
        }
        uri = f"{root}/features"
        write_deltalake(uri, pa.table(columns), mode="append", storage_options=storage_options.of(uri))
    yield root
    s3_connection.connection.cache_clear()


def told(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code in (None, 0)
    return capsys.readouterr().out


def test_status_and_errors_read_a_table_in_s3(root, capsys):
    status = json.loads(told(capsys, "status", "--root", root, "--json"))
    assert (status["images"], status["labels"], status["errors"]) == (4, {"Kiwi": 2, "Lemon": 2}, {"truncated": 1})
    assert status["storage_bytes"].keys() == {"features"}
    assert told(capsys, "errors", "--root", root) == "s3://fruit/Kiwi/3.jpg\tLemon\ttruncated\t12 bytes\n"


def test_errors_in_s3_are_exported_there_and_looked_at_again(root, s3, capsys):
    bucket = root.split("/")[2]
    told(capsys, "errors", "--root", root, "--csv", f"s3://{bucket}/bad.csv")
    assert b'3.jpg","Lemon","truncated"' in s3.s3.get_object(Bucket=bucket, Key="bad.csv")["Body"].read()
    told(capsys, "errors", "--root", root, "--retry")
    (manifest,) = s3.s3.list_objects_v2(Bucket=bucket, Prefix="pipe/root/events/")["Contents"]
    line = json.loads(s3.s3.get_object(Bucket=bucket, Key=manifest["Key"])["Body"].read())
    assert (line["event"], line["path"]) == ("created", "s3://fruit/Kiwi/3.jpg")


def test_a_bucket_that_is_not_there_is_one_line(s3, root, capsys):  # noqa: ARG001
    with pytest.raises(SystemExit) as ended:
        cli.main(["status", "--root", "s3://no-such-bucket-of-ours/root"])
    assert ended.value.code == 1
    assert "there is no bucket no-such-bucket-of-ours" in capsys.readouterr().err
