"""The whole way on the emulator: a bucket's notifications → SQS → the collector as a Lambda → manifests → the stream → rows."""

import hashlib
import io
import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from urllib.parse import quote_plus

import numpy as np
import pyarrow.parquet as pq
import pytest

from fruitpipe.extractor.inference import ModelFile, Network
from fruitpipe.pictures.decoding import decode
from fruitpipe.settings import IngestSettings
from tests.aws.collecting import Collector
from tests.commands import elsewhere
from tests.pictures import jpeg
from tests.s3_proxy import Proxy, started

pytestmark = pytest.mark.spark

AT_ONCE = 200
TRIGGERS = 10  # each lists the manifests once


class Table:
    """The features table, read from Delta's log and Parquet files alone: no Spark, and no code of ours."""

    def __init__(self, s3, bucket):
        self.s3, self.bucket, self.prefix = s3, bucket, "pipeline/features/"
        self.body, self.rows_of = cache(self.body), cache(self.rows_of)  # Delta writes each object once

    @property
    def rows(self):
        """The rows by path."""
        files = {}
        for commit in self.keys("_delta_log/"):
            for action in map(json.loads, self.body(commit).splitlines() if commit.endswith(".json") else ()):
                if "add" in action:
                    files[action["add"]["path"]] = None
                elif "remove" in action:
                    del files[action["remove"]["path"]]
        rows = [row for file in files for row in self.rows_of(file)]
        assert len({row["path"] for row in rows}) == len(rows), "two rows of one image"
        return {row["path"]: row for row in rows}

    def rows_of(self, file):
        return pq.read_table(io.BytesIO(self.body(self.prefix + file))).to_pylist()

    def keys(self, folder):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + folder)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def body(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


class Bucket:
    """The bucket of images, and what a right table holds of it."""

    def __init__(self, collector, table):
        self.collector, self.table, self.bodies = collector, table, {}

    def put(self, bodies):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.collector.put, bodies, bodies.values()))
        self.bodies |= bodies

    def delete(self, *keys):
        for key in keys:
            self.collector.delete(key)
            del self.bodies[key]

    @property
    def wanted(self):
        return {self.collector.uri(key): hashlib.sha256(body).hexdigest() for key, body in self.bodies.items()}

    def is_in_the_table(self):
        return {path: row["sha256"] for path, row in self.table.rows.items()} == self.wanted


@pytest.fixture
def collector(aws, eventually):
    collector = Collector(aws)
    collector.create_function()
    eventually(collector.is_active)
    collector.notify(Queue=collector.arn(collector.queue))
    collector.listen()
    return collector


@pytest.fixture
def table(aws, collector):
    return Table(aws.s3, collector.root)


@pytest.fixture
def bucket(collector, table):
    return Bucket(collector, table)


@pytest.fixture
def proxy(aws):
    """Counts what the stream asks of S3."""
    with started(Proxy(to=aws.endpoint)) as proxy:
        yield proxy


@pytest.fixture
def streams(proxy):
    """A process of its own, for one stream after the other."""
    with elsewhere(os.environ | {"AWS_ENDPOINT_URL": proxy.endpoint}) as streams:
        yield streams


@pytest.fixture
def begin(collector, streams):
    """Has a stream run that looks again at once."""

    def begin(source):
        images, root = f"s3://{collector.images}/Training", f"s3://{collector.root}/pipeline"
        streams.begin(f"fruitpipe ingest --images {images} --root {root} --source {source} --trigger-seconds 0")

    return begin


def stopped(streams):
    """What the stream says of all that it did."""
    ended = streams.stop()
    assert (ended.code, ended.stderr) == (0, "")
    return ended.stdout.splitlines()[-1]


def notification(collector, key, kind, sequencer):
    about = {"key": quote_plus(key, safe="/"), "size": 1, "eTag": "0" * 32, "sequencer": sequencer}
    record = {
        "eventName": kind,
        "eventTime": "2026-11-05T10:12:31.482Z",
        "s3": {"bucket": {"name": collector.images}, "object": about},
    }
    return json.dumps({"Records": [record]})


def shuffled_and_repeated(collector, keys):
    """What SQS may deliver of the last days: each image's events three times, in any order, and poison in the middle."""
    kinds = [("ObjectCreated:Put", "01"), ("ObjectRemoved:Delete", "02"), ("ObjectCreated:Put", "03")]
    bodies = [notification(collector, key, *kind) for key in keys for kind in kinds] * 3
    random.Random(5).shuffle(bodies)
    return [*bodies[: len(bodies) // 2], "poison", *bodies[len(bodies) // 2 :]]


def deliver(collector, messages, eventually):
    """All reach the queue; the poison among them, and it alone, ends in the dead-letter queue."""
    for message in messages:
        collector.sqs.send_message(QueueUrl=collector.queue, MessageBody=message)
    eventually(lambda: collector.waiting(collector.dead) == 1 and not collector.waiting(collector.queue))
    (dead,) = collector.sqs.receive_message(QueueUrl=collector.dead)["Messages"]
    assert dead["Body"] == "poison"


def overwrite_and_remove(bucket):
    """One image becomes another picture, one becomes half a one, and one is gone."""
    spaced, plus, percent = list(bucket.bodies)[:3]
    bucket.put({spaced: jpeg(70), plus: jpeg(71)[:500]})
    bucket.delete(percent)
    return spaced, plus, percent


def check_overwritten(collector, rows, spaced, plus):
    network = Network(ModelFile.load(IngestSettings(images="x", root="x").model).body)
    np.testing.assert_allclose(rows[collector.uri(spaced)]["features"], network(decode(jpeg(70)).pixels), atol=1e-6)
    assert (rows[collector.uri(plus)]["error"], rows[collector.uri(plus)]["features"]) == ("truncated", None)


def computed(table):
    return {path: row["ingested_at"] for path, row in table.rows.items()}


def check_that_each_trigger_lists_once(collector, proxy, eventually):
    """Two times, in the first of which the stream looks after its table, for the first time."""
    for _ in range(2):
        before = proxy.counts(f"/{collector.images}")["LIST"], proxy.counts(f"/{collector.root}")["LIST"]
        eventually(lambda since=before[1]: proxy.counts(f"/{collector.root}")["LIST"] >= since + TRIGGERS)
    assert proxy.counts(f"/{collector.images}")["LIST"] - before[0] <= TRIGGERS + 1, "one for each trigger and 1,000 objects"


@pytest.mark.soak
def test_whatever_happens_and_however_it_is_told_the_table_ends_as_the_bucket(bucket, proxy, streams, begin, eventually):
    collector, table = bucket.collector, bucket.table
    begin("events")
    names = ["a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg", "p\u00eache.jpg", "pe\u0301che.jpg", "0.JPG"]
    bucket.put({f"Training/Apple Golden 2/{name}": jpeg(seed) for seed, name in enumerate(names)})
    eventually(bucket.is_in_the_table)
    at_start = proxy.counts(f"/{collector.images}")  # the bucket's region is asked once
    spaced, plus, percent = overwrite_and_remove(bucket)
    eventually(bucket.is_in_the_table)
    check_overwritten(collector, table.rows, spaced, plus)
    bucket.put({f"Training/Kiwi/{number:03}.jpg": jpeg(100 + number) for number in range(AT_ONCE)})
    bucket.delete(*list(bucket.bodies)[-20:])
    eventually(bucket.is_in_the_table)

    before = computed(table)
    deliver(collector, shuffled_and_repeated(collector, [*list(bucket.bodies)[:10], percent]), eventually)
    bucket.put({"Training/Kiwi/last.jpg": jpeg(73)})
    eventually(bucket.is_in_the_table)
    assert "unchanged" in stopped(streams)
    assert bucket.is_in_the_table()
    assert before.items() <= computed(table).items()
    assert set(proxy.counts(f"/{collector.images}") - at_start) == {"GET"}, "the image prefix is never listed"

    before = computed(table)
    begin("prefix")
    bucket.put({"Training/Kiwi/listed.jpg": jpeg(74)})
    eventually(bucket.is_in_the_table)
    check_that_each_trigger_lists_once(collector, proxy, eventually)
    assert stopped(streams).startswith("ingest: 1 images featurised, 0 failed")
    assert before.items() <= computed(table).items()
