import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fruitpipe.root import manifests
from tests.aws.collecting import Collector

TESTS = Path(__file__).parents[1]
SPECIAL_NAMES = ["a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg", "p\u00eache.jpg", "pe\u0301che.jpg"]


@pytest.fixture
def collector(aws, eventually):
    collector = Collector(aws)
    collector.create_function()
    eventually(collector.is_active)
    return collector


@pytest.fixture
def listening(collector):
    """The collector where the bucket's notifications reach it."""
    collector.notify(Queue=collector.arn(collector.queue))
    collector.listen()
    return collector


def notification(collector, name, kind="ObjectCreated:Put"):
    """What S3 sends for one object of the collector's bucket, its key encoded already."""
    body = json.loads((TESTS / "events" / "s3-created-put.json").read_text())
    body["Records"][0]["eventName"] = kind
    body["Records"][0]["s3"]["bucket"]["name"] = collector.images
    body["Records"][0]["s3"]["object"]["key"] = name
    return json.dumps(body)


def test_an_upload_an_overwrite_and_a_removal_arrive_as_manifests(listening, eventually):
    listening.put("Training/Kiwi/0.jpg", b"first")
    listening.put("Training/Kiwi/0.jpg", b"the second")
    listening.put("Training/Kiwi/1.jpg")
    listening.delete("Training/Kiwi/1.jpg")
    seen = eventually(lambda: len(listening.seen) >= 4 and listening.seen)
    assert sorted((event.event, event.path, event.length) for event in seen) == [
        ("created", listening.uri("Training/Kiwi/0.jpg"), 5),
        ("created", listening.uri("Training/Kiwi/0.jpg"), 10),
        ("created", listening.uri("Training/Kiwi/1.jpg"), 5),
        ("removed", listening.uri("Training/Kiwi/1.jpg"), None),
    ]
    assert {event.path for event in manifests.latest(seen)} == {
        listening.uri(f"Training/Kiwi/{number}.jpg") for number in range(2)
    }


def test_the_event_names_the_bytes_that_are_there(listening, eventually):
    listening.put("Training/Kiwi/0.jpg")
    (event,) = eventually(lambda: listening.seen)
    head = listening.aws.s3.head_object(Bucket=listening.images, Key="Training/Kiwi/0.jpg")
    assert (event.etag, event.length) == (head["ETag"].strip('"'), head["ContentLength"])


def test_keys_arrive_as_their_owner_typed_them(listening, eventually):
    keys = [f"Training/Apple Golden 2/{name}" for name in SPECIAL_NAMES]
    for key in keys:
        listening.put(key)
    seen = eventually(lambda: len(listening.seen) >= len(keys) and listening.seen)
    assert {event.path for event in seen} == {listening.uri(key) for key in keys}


def test_many_images_at_once_are_all_seen_in_fewer_manifests(listening, eventually):
    keys = [f"Training/Kiwi/{number}.jpg" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(listening.put, keys))
    wanted = {listening.uri(key) for key in keys}
    eventually(lambda: {event.path for event in listening.seen} == wanted)
    assert len(listening.manifests) < len(keys)


def test_the_test_event_of_s3_is_taken_and_makes_no_manifest(collector, eventually):
    collector.notify(Queue=collector.arn(collector.queue))
    assert eventually(lambda: collector.waiting(collector.queue)) == 1
    collector.listen()
    eventually(lambda: not collector.waiting(collector.queue))
    assert not collector.manifests
    assert not collector.waiting(collector.dead)


def test_other_prefixes_and_other_names_make_no_manifest(listening, eventually):
    for key in ("Training-old/Kiwi/0.jpg", "Training/Kiwi/notes.txt", "Training/Kiwi/", "Training/Kiwi/0.JPG"):
        listening.put(key)
    eventually(lambda: listening.seen and not listening.waiting(listening.queue))
    assert [event.path for event in listening.seen] == [listening.uri("Training/Kiwi/0.JPG")]


def test_a_poison_message_in_the_middle_ends_alone_in_the_dead_letter_queue(collector, eventually):
    bodies = [notification(collector, "Training/Kiwi/0.jpg"), "poison", notification(collector, "Training/Kiwi/2.jpg")]
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    collector.sqs.send_message_batch(QueueUrl=collector.queue, Entries=entries)
    collector.listen()
    eventually(lambda: collector.waiting(collector.dead) and not collector.waiting(collector.queue))
    (dead,) = collector.sqs.receive_message(QueueUrl=collector.dead)["Messages"]
    assert dead["Body"] == "poison"
    assert {event.path for event in collector.seen} == {collector.uri(f"Training/Kiwi/{number}.jpg") for number in (0, 2)}
    assert len(collector.seen) == 2


def test_a_batch_that_is_delivered_again_in_any_order_writes_its_manifest_once(collector):
    bodies = [notification(collector, f"Training/Kiwi/{number}.jpg") for number in range(5)] + ["poison"]
    records = [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]
    assert collector.invoke({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "5"}]}
    (first,) = collector.manifests
    for seed in range(5):
        random.Random(seed).shuffle(records)
        assert collector.invoke({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "5"}]}
    assert collector.manifests == [first]
    assert first["Key"].startswith("pipeline/events/2026/11/05/101231-s3-")


def test_batches_written_at_the_same_moment_are_one_manifest(collector):
    batch = {"Records": [{"messageId": "0", "body": notification(collector, "Training/Kiwi/0.jpg")}]}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(collector.invoke, [batch] * 4)) == [{"batchItemFailures": []}] * 4
    assert len(collector.manifests) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_late_and_repeated_events_of_one_image_leave_its_last_one(collector, order):
    happened = [("ObjectCreated:Put", "01"), ("ObjectCreated:Put", "02"), ("ObjectRemoved:Delete", "03")]
    for index in [*order, *order]:
        kind, sequencer = happened[index]
        body = notification(collector, "Training/Kiwi/0.jpg", kind).replace("0069F0A1C2D3E4F501", sequencer)
        collector.invoke({"Records": [{"messageId": "0", "body": body}]})
    assert len(collector.seen) == 3
    assert [event.event for event in manifests.latest(collector.seen)] == ["removed"]


def test_events_come_through_sns_too(collector, eventually):
    sns = collector.aws.client("sns")
    topic = sns.create_topic(Name=collector.name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=collector.arn(collector.queue))
    collector.notify(Topic=topic)
    collector.listen()
    collector.put("Training/Apple Golden 2/a+b c.jpg")
    assert [event.path for event in eventually(lambda: collector.seen)] == [collector.uri("Training/Apple Golden 2/a+b c.jpg")]


def test_events_come_through_eventbridge_too_and_their_keys_are_not_encoded(collector, eventually):
    rules = collector.aws.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [collector.images]}}}
    rules.put_rule(Name=collector.name, EventPattern=json.dumps(pattern))
    rules.put_targets(Rule=collector.name, Targets=[{"Id": "queue", "Arn": collector.arn(collector.queue)}])
    collector.aws.s3.put_bucket_notification_configuration(
        Bucket=collector.images, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    collector.listen()
    collector.put("Training/Apple Golden 2/a+b%20c.jpg")
    collector.delete("Training/Apple Golden 2/a+b%20c.jpg")
    seen = eventually(lambda: len(collector.seen) >= 2 and collector.seen)
    assert {event.path for event in seen} == {collector.uri("Training/Apple Golden 2/a+b%20c.jpg")}
    assert sorted(event.event for event in seen) == ["created", "removed"]


@pytest.mark.usefixtures("aws")
def test_a_root_that_cannot_be_written_fails_the_whole_batch_so_that_nothing_is_lost(load_lambda, monkeypatch):
    module = load_lambda("collect_events")
    monkeypatch.setenv("FRUITPIPE_ROOT", "s3://no-such-bucket-of-fruits/pipeline")
    monkeypatch.setenv("FRUITPIPE_IMAGES", "s3://fruits-images/Training")
    batch = json.loads((TESTS / "events" / "sqs-batch.json").read_text())
    with pytest.raises(module.ClientError, match="NoSuchBucket"):
        module.handler(batch, None)
