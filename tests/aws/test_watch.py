"""What is told to CloudWatch: each figure against a root that was made for it."""

import json
from datetime import UTC, datetime, timedelta

import pytest


class Root:
    def __init__(self, aws):
        self.aws, self.bucket = aws, aws.bucket()
        self.uri = f"s3://{self.bucket}/pipeline"

    def put(self, name, body=b""):
        self.aws.s3.put_object(Bucket=self.bucket, Key=f"pipeline/{name}", Body=body)

    def commit(self, version, rows, errors, change=True):
        stats = json.dumps({"numRecords": rows, "nullCount": {"error": rows - errors}})
        actions = [{"commitInfo": {}}, {"add": {"path": "x", "dataChange": change, "stats": stats}}, {"remove": {"path": "y"}}]
        self.put(f"features/_delta_log/{version:020d}.json", "\n".join(map(json.dumps, actions)).encode())


@pytest.fixture
def root(aws):
    return Root(aws)


@pytest.fixture
def watch(load_lambda):
    return load_lambda("watch")


def test_a_stream_lives_while_its_lease_lasts(root, watch):
    now = datetime.now(UTC)
    assert not watch.is_alive(root.uri, now)
    root.put("writer.json", json.dumps({"expires_at": now.isoformat()}).encode())
    assert watch.is_alive(root.uri, now - timedelta(seconds=1))
    assert not watch.is_alive(root.uri, now + timedelta(seconds=1))


def test_a_manifest_waits_until_a_batch_is_committed_after_it(root, watch):
    now = datetime.now(UTC)
    later = now + timedelta(seconds=900)
    assert watch.waiting_seconds(root.uri, later) == 0
    root.put(f"events/{now:%Y/%m/%d}/000001-s3-x.jsonl")
    assert 890 <= watch.waiting_seconds(root.uri, later) <= 901
    root.put("checkpoints/events/commits/0")
    assert watch.waiting_seconds(root.uri, later) == 0


def test_errors_are_counted_in_what_was_added_within_the_hour(root, watch):
    now = datetime.now(UTC)
    assert watch.error_share(root.uri, now - timedelta(hours=1)) == 0
    root.commit(0, rows=30, errors=3)
    root.commit(1, rows=10, errors=7)
    root.commit(2, rows=1000, errors=0, change=False)  # a compaction adds nothing
    assert watch.error_share(root.uri, now - timedelta(hours=1)) == pytest.approx(0.25)
    assert watch.error_share(root.uri, now + timedelta(hours=1)) == 0
    root.put("features/_delta_log/_last_checkpoint", json.dumps({"version": 401}).encode())
    assert watch.error_share(root.uri, now - timedelta(hours=1)) == pytest.approx(0.7)  # a long log is read near its end


def test_the_figures_arrive_as_metrics(root, watch, aws, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_ROOT", root.uri)
    monkeypatch.setenv("FRUITPIPE_STACK", root.bucket)
    root.commit(0, rows=4, errors=1)
    assert watch.handler({}, None) == {"StreamAlive": 0.0, "WaitingSeconds": 0.0, "ErrorShare": 25.0}
    names = aws.client("cloudwatch").list_metrics(Namespace="Fruitpipe")["Metrics"]
    ours = {one["MetricName"] for one in names if one["Dimensions"] == [{"Name": "Stack", "Value": root.bucket}]}
    assert ours == {"StreamAlive", "WaitingSeconds", "ErrorShare"}
