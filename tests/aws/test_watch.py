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

    def commit(self, version, rows, errors, change=True, **info):
        stats = json.dumps({"numRecords": rows, "nullCount": {"error": rows - errors}})
        actions = [{"commitInfo": info}, {"add": {"path": "x", "dataChange": change, "stats": stats}}, {"remove": {"path": "y"}}]
        self.put(f"features/_delta_log/{version:020d}.json", "\n".join(map(json.dumps, actions)).encode())

    def manifest(self, name, days_ago=0):
        """A manifest of events of some day, there now; returns when that was, as Spark writes it, which knows whole seconds."""
        key = f"events/{datetime.now(UTC) - timedelta(days=days_ago):%Y/%m/%d}/{name}.jsonl"
        self.put(key)
        modified = self.aws.s3.head_object(Bucket=self.bucket, Key=f"pipeline/{key}")["LastModified"]
        return int(modified.timestamp()) * 1000

    def taken(self, number, *times, name=None):
        """Spark's list of manifests, of which the last was taken `number`-th, the one before it before."""
        entries = [
            {"path": f"s3a://b/{n}.jsonl", "timestamp": time, "batchId": n}
            for n, time in enumerate(times, number + 1 - len(times))
        ]
        self.put(f"checkpoints/ingest/sources/0/{name or number}", lines("v1", *map(json.dumps, entries)))

    def offset(self, batch, *of_sources):
        self.put(f"checkpoints/ingest/offsets/{batch}", lines("v1", json.dumps({"batchWatermarkMs": 0}), *of_sources))

    def committed(self, batch):
        self.put(f"checkpoints/ingest/commits/{batch}", lines("v1", json.dumps({"nextBatchWatermarkMs": 0})))


def lines(*those):
    return "\n".join(those).encode()


def logged(number):
    return json.dumps({"logOffset": number})


@pytest.fixture
def root(aws):
    return Root(aws)


@pytest.fixture
def watch(load_lambda):
    return load_lambda("watch")


def test_a_stream_lives_while_its_lease_lasts(root, watch):
    now = datetime.now(UTC)
    assert not watch.is_alive(root.uri, now)
    holder = {"lease_seconds": 60, "released": False, "expires_at": "1970-01-01T00:00:00+00:00"}  # by a clock that is wrong
    root.put("writer.json", json.dumps(holder).encode())
    assert watch.is_alive(root.uri, now + timedelta(seconds=50))
    assert not watch.is_alive(root.uri, now + timedelta(seconds=90))
    root.put("writer.json", json.dumps(holder | {"released": True}).encode())
    assert not watch.is_alive(root.uri, now)


@pytest.fixture
def waited(root, watch):
    """How long the oldest manifest has waited in a quarter of an hour from now; half a minute for the test is let pass."""
    later = datetime.now(UTC) + timedelta(seconds=900)

    def look():
        seconds = watch.waiting_seconds(root.uri, later)
        assert seconds == 0 or seconds >= 870
        return seconds > 0

    return look


def test_without_a_checkpoint_all_manifests_wait(root, waited):
    assert not waited()
    root.put(f"events/{datetime.now(UTC):%Y/%m/%d}/notes.txt")  # the stream does not read it either
    assert not waited()
    root.manifest("000001-s3-x")
    assert waited()


@pytest.mark.parametrize("days_ago", [2, 6])
def test_a_manifest_of_some_days_ago_is_not_forgotten(root, waited, days_ago):
    modified = root.manifest("000001-s3-x", days_ago)
    assert waited()
    root.taken(0, modified)
    root.offset(0, logged(0))
    root.committed(0)
    assert not waited()


def test_a_manifest_waits_until_the_batch_that_took_it_is_committed(root, waited):
    modified = root.manifest("000001-s3-x")
    root.taken(0, modified)
    root.offset(0, logged(0))
    assert waited()  # a batch that is begun is not done
    root.committed(0)
    assert not waited()


def test_what_a_batch_that_is_not_committed_took_waits(root, waited):
    modified = root.manifest("000001-s3-x")
    root.taken(0, modified - 60_000)
    root.offset(0, logged(0))
    root.committed(0)
    root.taken(1, modified)
    root.offset(1, logged(1))
    assert waited()


def test_a_backlog_is_seen_while_the_stream_commits_batch_after_batch(root, waited):
    modified = root.manifest("000001-s3-x")
    for number in range(9, 12):  # numbers are no names: the tenth comes after the ninth
        root.taken(number, modified - 60_000 + number)
        root.offset(number, logged(number))
        root.committed(number)  # later than the manifest
        assert waited()
    root.taken(12, modified)
    root.offset(12, logged(12))
    root.committed(12)
    assert not waited()


@pytest.mark.parametrize("end_bytes", [200, 1 << 20])
def test_a_compacted_list_stands_for_those_that_are_gone(root, watch, waited, monkeypatch, end_bytes):
    modified = root.manifest("000001-s3-x")
    monkeypatch.setattr(watch, "END_BYTES", end_bytes)  # and its end is enough, however long it is
    root.taken(19, *(modified - 1000 * (19 - n) for n in range(20)), name="19.compact")
    root.offset(18, logged(18))
    root.committed(18)
    assert waited()  # in the list, but taken 19th
    root.offset(19, logged(19))
    root.committed(19)
    assert not waited()


def test_a_batch_that_had_no_manifest_says_nothing(root, waited):
    root.manifest("000001-s3-x")
    root.offset(0, "-")
    root.committed(0)
    assert waited()


def test_errors_are_counted_in_what_was_added_within_the_hour(root, watch):
    now = datetime.now(UTC)
    assert watch.error_share(root.uri, now - timedelta(hours=1)) == 0
    root.commit(0, rows=30, errors=3)
    root.commit(1, rows=10, errors=7)
    root.commit(2, rows=1000, errors=0, change=False)  # a compaction adds nothing
    assert watch.error_share(root.uri, now - timedelta(hours=1)) == pytest.approx(0.25)
    assert watch.error_share(root.uri, now + timedelta(hours=1)) == 0
    root.put("features/_delta_log/_last_checkpoint", json.dumps({"version": 401}).encode())
    assert watch.error_share(root.uri, now - timedelta(hours=1)) == pytest.approx(7 / 20)  # a long log is read near its end


@pytest.mark.parametrize(("rows", "errors", "share"), [(1, 1, 0.05), (2, 2, 0.1), (3, 3, 0.15), (19, 2, 0.1), (40, 4, 0.1)])
def test_a_broken_upload_of_a_quiet_hour_wakes_nobody_and_three_do(root, watch, rows, errors, share):
    root.commit(0, rows=rows, errors=errors)
    assert watch.error_share(root.uri, datetime.now(UTC) - timedelta(hours=1)) == pytest.approx(share)


def test_of_a_merge_only_what_it_brought_counts_and_not_the_rows_beside_it(root, watch):
    since = datetime.now(UTC) - timedelta(hours=1)
    brought = json.dumps({"featurised": 60, "failed": 20, "touched": 40, "gone": 1})
    root.commit(0, rows=500, errors=400, operation="MERGE", userMetadata=brought)
    assert watch.error_share(root.uri, since) == pytest.approx(0.25)
    root.commit(1, rows=500, errors=400, operation="MERGE")  # an erasure brings nothing
    assert watch.error_share(root.uri, since) == pytest.approx(0.25)
    root.commit(2, rows=80, errors=20, operation="WRITE")
    assert watch.error_share(root.uri, since) == pytest.approx(0.25)


@pytest.mark.parametrize("note", ["by hand, see the wiki", "[8]", '{"rows": "8"}', "null", '"8"'])
def test_a_merge_of_somebody_elses_with_a_note_of_its_own_brings_nothing(watch, note):
    assert watch._brought(json.dumps({"commitInfo": {"operation": "MERGE", "userMetadata": note}}).encode()) == (0, 0)


@pytest.mark.parametrize("stats", [None, "{}", '{"minValues": {}}', '{"numRecords": 8}', '{"nullCount": {"error": 8}}'])
def test_a_file_whose_statistics_do_not_tell_counts_neither_as_rows_nor_as_errors(watch, stats):
    told = {"stats": json.dumps({"numRecords": 10, "nullCount": {"error": 7}})}
    actions = [{"add": {"dataChange": True, "stats": stats}}, {"add": {"dataChange": True, **told}}]
    assert watch._brought("\n".join(map(json.dumps, actions)).encode()) == (10, 3)


def test_the_hours_count_from_the_last_refit_whether_it_published_or_found_nothing_to(root, watch):
    now = datetime.now(UTC)
    assert watch.hours_since_refit(root.uri, now) is None
    root.put("reduced/latest.json", b"{}")
    assert watch.hours_since_refit(root.uri, now + timedelta(hours=30)) == pytest.approx(30, abs=0.1)


def test_the_figures_arrive_as_metrics(root, watch, aws, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_ROOT", root.uri)
    monkeypatch.setenv("FRUITPIPE_STACK", root.bucket)
    root.commit(0, rows=4, errors=1)
    assert watch.handler({}, None) == {"StreamAlive": 0.0, "WaitingSeconds": 0.0, "ErrorShare": 5.0}
    root.put("reduced/latest.json", b"{}")
    assert set(watch.handler({}, None)) == {"StreamAlive", "WaitingSeconds", "ErrorShare", "HoursSinceRefit"}
    names = aws.client("cloudwatch").list_metrics(Namespace="Fruitpipe")["Metrics"]
    ours = {one["MetricName"] for one in names if one["Dimensions"] == [{"Name": "Stack", "Value": root.bucket}]}
    assert ours == {"StreamAlive", "WaitingSeconds", "ErrorShare", "HoursSinceRefit"}
