"""`fruitpipe identify` with root and pictures in an S3 server over HTTP: no Spark."""

from __future__ import annotations

import json

import pytest

from fruitpipe.pictures import drawn
from tests.pictures import jpeg
from tests.versions import publish_pictures


@pytest.fixture(autouse=True)
def _environment(s3):
    with s3.here():
        yield


def test_pictures_and_root_may_lie_in_s3(s3, commands, tmp_path):
    bucket = s3.bucket()
    drawn.draw(tmp_path, labels=3, images_per_label=6)
    paths = sorted(tmp_path.rglob("*.jpg"))
    publish_pictures(f"s3://{bucket}/pipe", [path for path in paths if path.stem != "0005"])
    asked = [path for path in paths if path.stem == "0005"]
    for path in asked:
        s3.s3.put_object(Bucket=bucket, Key=f"asked/{path.parent.name}.jpg", Body=path.read_bytes())
    s3.s3.put_object(Bucket=bucket, Key="asked/Z cut.jpg", Body=jpeg(1)[:-30])
    ended = commands.run(f"fruitpipe identify --root s3://{bucket}/pipe s3://{bucket}/asked --json --nearest 1")
    *found, cut = map(json.loads, ended.stdout.splitlines())
    assert (ended.code, ended.stderr) == (1, "")
    assert [one["likeliest"] for one in found] == sorted(path.parent.name for path in asked)
    assert [one["nearest"][0]["label"] for one in found] == sorted(path.parent.name for path in asked)
    assert cut["error"] == "truncated"
