import importlib.util
import json
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from fruitpipe.pictures import globs, side_files
from fruitpipe.root import manifests
from fruitpipe.root.manifests import ImageEvent
from tests.side_files import SIDE_FILES

TESTS = Path(__file__).parents[1]
ROOT, IMAGES = "s3://fruits-pipeline/root", "s3://fruits-images/Training"
ETAG = "9a0364b9e99bb480dd25e1f0284c8555"


@pytest.fixture(scope="module")
def collector():
    spec = importlib.util.spec_from_file_location("collect_events", TESTS.parent / "lambda" / "collect_events.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # where a dataclass looks for its own module
        spec.loader.exec_module(module)
        yield module


def payload(name):
    return (TESTS / "events" / f"{name}.json").read_text()


def message(body, number=0):
    return {"messageId": f"message-{number}", "body": body}


class FakeS3:
    def __init__(self, written):
        self.written = written

    def put_object(self, **request):
        self.written[request["Bucket"], request["Key"]] = request["Body"]


@pytest.fixture
def settings(collector):
    return collector.Settings(ROOT, IMAGES, collector.matcher(collector.GLOB))


@pytest.fixture
def collect(collector, settings):
    def run(*bodies):
        return collector.collect([message(body, number) for number, body in enumerate(bodies)], settings)

    return run


def parsed(batch):
    return [manifests.parse_line(line) for line in sorted(batch.lines)]


def at(time):
    return datetime.fromisoformat(time).astimezone(UTC)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "s3-created-put",
            ImageEvent(
                "created",
                f"{IMAGES}/Apple Golden 2/r_109_100.jpg",
                ETAG,
                4984,
                at("2026-11-05T10:12:31.482Z"),
                "0069F0A1C2D3E4F501",
            ),
        ),
        (
            "s3-created-multipart-versioned",
            ImageEvent(
                "created",
                f"{IMAGES}/Watermelon/r_7_100.jpg",
                "d6eb32081c822ed572b70567826d9d9d-2@IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                18874368,
                at("2026-11-05T10:13:02.007Z"),
                "0069F0A1C2D3E4F6",
            ),
        ),
        (
            "s3-removed-delete",
            ImageEvent(
                "removed",
                f"{IMAGES}/Kiwi/0_100.jpg",
                event_time=at("2026-11-05T10:15:00.250Z"),
                sequencer="0069F0A1C2D3E4F8",
            ),
        ),
        (
            "s3-removed-delete-marker",
            ImageEvent(
                "removed",
                f"{IMAGES}/Kiwi/1_100.jpg",
                event_time=at("2026-11-05T10:15:01.250Z"),
                sequencer="0069F0A1C2D3E4F9",
            ),
        ),
        (
            "s3-restore-completed",
            ImageEvent("created", f"{IMAGES}/Kiwi/4_100.jpg", ETAG, 4984, at("2026-11-05T11:00:00.000Z")),
        ),
        (
            "eventbridge-created",
            ImageEvent(
                "created",
                f"{IMAGES}/Apple Golden 2/a%20b+c.jpg",
                f"{ETAG}@IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                4984,
                at("2026-11-05T10:12:31Z"),
                "0069f0a1c2d3e4f5",
            ),
        ),
    ],
)
def test_a_message_becomes_the_event_that_the_stream_reads(collect, name, expected):
    assert parsed(collect(payload(name))) == [expected]


@pytest.mark.parametrize(
    ("name", "kind", "image"),
    [
        ("s3-lifecycle-expiration", "removed", "Kiwi/2_100.jpg"),
        ("s3-lifecycle-delete-marker", "removed", "Kiwi/3_100.jpg"),
        ("eventbridge-deleted", "removed", "Kiwi/5_100.jpg"),
        ("eventbridge-expired", "removed", "Kiwi/6_100.jpg"),
        ("eventbridge-restore-completed", "created", "Kiwi/7_100.jpg"),
    ],
)
def test_every_way_in_which_an_image_comes_or_goes_is_seen(collect, name, kind, image):
    (event,) = parsed(collect(payload(name)))
    assert (event.event, event.path) == (kind, f"{IMAGES}/{image}")


def test_an_event_that_sns_wraps_is_the_same_event(collect):
    assert collect(payload("sns-wrapped-put")).lines == collect(payload("s3-created-put")).lines


def test_an_event_that_eventbridge_and_then_sns_wrap_is_the_same_event(collect):
    assert collect(payload("sns-wrapped-eventbridge")).lines == collect(payload("eventbridge-created")).lines


def test_special_characters_come_out_as_the_owner_typed_them(collect):
    names_seen = {event.path.rpartition("/")[2] for event in parsed(collect(payload("s3-created-special-keys")))}
    assert names_seen == {"a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg"}


@pytest.mark.parametrize(("encoded", "typed"), [("p%C3%AAche.jpg", "p\u00eache.jpg"), ("pe%CC%81che.jpg", "pe\u0301che.jpg")])
def test_two_spellings_of_one_name_stay_two_keys(collect, encoded, typed):
    body = payload("s3-created-put").replace("r_109_100.jpg", encoded)
    assert [event.path for event in parsed(collect(body))] == [f"{IMAGES}/Apple Golden 2/{typed}"]


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("s3-test-event", "test_event"),
        ("s3-other-prefix", "outside_prefix"),
        ("s3-other-extension", "other_name"),
        ("s3-restore-requested", "other_kind"),
        ("s3-tagging", "other_kind"),
        ("eventbridge-tags-added", "other_kind"),
    ],
)
def test_what_is_not_about_an_image_is_dropped_and_counted(collect, name, counted):
    batch = collect(payload(name))
    assert not batch.lines
    assert not batch.failures
    assert +batch.counts == {counted: 1}


@pytest.mark.parametrize(("below", "kind"), SIDE_FILES.items())
def test_side_files_are_skipped_as_the_listing_does_unless_they_are_asked_for(collector, below, kind):
    event = {"event": "created", "path": f"{IMAGES}/{below}"}
    settings = collector.Settings(ROOT, IMAGES, collector.matcher("*"))
    assert settings.why_not(event) == ("side_file" if kind else None)
    assert replace(settings, side_files=True).why_not(event) is None


def test_the_collector_and_the_listing_know_the_same_folders(collector):
    for folder in side_files.KINDS:
        assert collector.SIDE_FILES.fullmatch(f"Kiwi/{folder.upper()}/a.jpg")
        assert side_files.kind(f"Kiwi/{folder.upper()}/a.jpg")
    assert collector.SIDE_FILES.pattern.count("|") == len(side_files.KINDS) + 1  # beside files' names and users' bins


def test_a_folder_is_no_image_whatever_names_count(collector):
    settings = collector.Settings(ROOT, IMAGES, collector.matcher("*"))
    body = payload("s3-created-put").replace("r_109_100.jpg", "")
    assert collector.collect([message(body)], settings).counts["other_name"] == 1


def test_another_bucket_is_outside_the_prefix(collect):
    batch = collect(payload("s3-created-put").replace('"name": "fruits-images"', '"name": "fruits-images-2"'))
    assert batch.counts["outside_prefix"] == 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "null",
        "7",
        "[]",
        "{}",
        "[" * 100_000,
        '{"Records": []}',
        '{"Records": "none"}',
        '{"Records": [7]}',
        '{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        '{"Type": "Notification"}',
        '{"Type": "Notification", "Message": "hello"}',
        '{"detail-type": "Object Created", "source": "aws.ec2", "detail": {}}',
        '{"detail-type": "Object Created", "source": "aws.s3"}',
    ],
)
def test_a_message_that_cannot_be_understood_fails_alone(collect, body):
    batch = collect(payload("s3-created-put"), body, payload("s3-removed-delete"))
    assert list(batch.failures) == ["message-1"]
    assert len(batch.lines) == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("2026-11-05T10:12:31.482Z", "yesterday"),
        ("2026-11-05T10:12:31.482Z", "2026-11-05T10:12:31"),
        ("2026-11-05T10:12:31.482Z", "0001-01-01T00:00:00+14:00"),
        ("Training/Apple+Golden+2/r_109_100.jpg", ""),
        ("r_109_100.jpg", "%FF.jpg"),
        ("r_109_100.jpg", "\\ud800.jpg"),
    ],
)
def test_a_message_with_a_broken_field_fails(collect, right, wrong):
    batch = collect(payload("s3-created-put").replace(right, wrong))
    assert list(batch.failures) == ["message-0"]


def test_the_collector_writes_lines_and_names_as_fruitpipe_does(collector, collect, monkeypatch):
    every = [
        payload(path.stem)
        for path in sorted((TESTS / "events").glob("*-*.json"))
        if path.stem not in ("sqs-batch", "schedule-with-input")
    ]
    batch = collect(*every)
    assert len(batch.lines) > 10
    assert not batch.failures
    assert {manifests.to_line(event) for event in parsed(batch)} == batch.lines

    written = {}
    monkeypatch.setattr(collector, "_s3", lambda: FakeS3(written))
    uri = collector.write_manifest(batch, ROOT)
    (body,) = written.values()
    assert body == next(manifests.manifests(parsed(batch)))
    when = max(event.event_time for event in parsed(batch))
    assert uri == manifests.manifest_uri(ROOT, when, f"{when:%H%M%S}-s3-{sha256(body).hexdigest()[:16]}")


def test_shuffled_and_repeated_messages_make_the_same_manifest(collector, collect, monkeypatch):
    bodies = [payload(name) for name in ("s3-created-put", "s3-removed-delete", "eventbridge-created", "s3-created-special-keys")]
    written = {}
    monkeypatch.setattr(collector, "_s3", lambda: FakeS3(written))
    for seed in range(10):
        shuffled = bodies * 2
        random.Random(seed).shuffle(shuffled)
        collector.write_manifest(collect(*shuffled), ROOT)
    assert len(written) == 1


def test_a_whole_batch_answers_with_its_poison_alone_and_logs_one_line_of_counts(collector, monkeypatch, capsys):
    monkeypatch.setenv("FRUITPIPE_ROOT", ROOT)
    monkeypatch.setenv("FRUITPIPE_IMAGES", IMAGES)
    monkeypatch.setattr(collector, "_s3", lambda: FakeS3({}))
    batch = json.loads(payload("sqs-batch"))
    assert collector.handler(batch, None) == {"batchItemFailures": [{"itemIdentifier": batch["Records"][2]["messageId"]}]}
    (line,) = capsys.readouterr().out.splitlines()
    log = json.loads(line)
    assert (log["messages"], log["lines"], log["created"], log["removed"], log["test_event"], log["failed"]) == (5, 3, 2, 1, 1, 1)
    assert log["manifest"].startswith(f"{ROOT}/events/2026/11/05/")


def test_nothing_to_write_makes_no_manifest(collector, monkeypatch, capsys):
    monkeypatch.setenv("FRUITPIPE_ROOT", ROOT)
    monkeypatch.setenv("FRUITPIPE_IMAGES", IMAGES)
    written = {}
    monkeypatch.setattr(collector, "_s3", lambda: FakeS3(written))
    assert collector.handler({"Records": [message(payload("s3-test-event"))]}, None) == {"batchItemFailures": []}
    assert not written
    assert json.loads(capsys.readouterr().out)["manifest"] is None


@pytest.mark.parametrize("variable", ["FRUITPIPE_ROOT", "FRUITPIPE_IMAGES"])
@pytest.mark.parametrize("value", [None, "", "/local/folder"])
def test_a_missing_or_wrong_setting_is_named(collector, monkeypatch, variable, value):
    monkeypatch.setenv("FRUITPIPE_ROOT", ROOT)
    monkeypatch.setenv("FRUITPIPE_IMAGES", IMAGES)
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=variable):
        collector.handler({"Records": []}, None)


@pytest.mark.parametrize("glob", ["*.{jpg,jpeg,png,webp,avif,heic,heif,hif}", "*.jpg", "r_*.{png,gif}", "*"])
@pytest.mark.parametrize("name", ["a.jpg", "A.JPG", "r_1.png", "b.gif", "a.jpg.txt", "jpg", "a b.WebP"])
def test_names_are_matched_as_the_listing_matches_them(collector, glob, name):
    assert bool(collector.matcher(glob).match(name)) == bool(globs.matcher(glob).match(name))
