import itertools
import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fruitpipe.root.manifests import ImageEvent, latest, manifest_name, manifest_uri, manifests, parse_line, to_line

NOON = datetime(2026, 11, 5, 12, 0, 0, 123000, tzinfo=UTC)
KIWI = "s3://fruits/Training/Kiwi/0_100.jpg"
NO_SURROGATES = st.characters(exclude_categories=["Cs"])

events = st.builds(
    ImageEvent,
    event=st.sampled_from(["created", "removed", "erase"]),
    path=st.text(NO_SURROGATES, min_size=1).filter(lambda key: not key.endswith("/")).map("s3://fruits/{}".format),
    etag=st.none() | st.text("0123456789abcdef-@", min_size=1),
    length=st.none() | st.integers(0, 2**63 - 1),
    event_time=st.none()
    | st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)),
    sequencer=st.none() | st.text("0123456789ABCDEF", min_size=1),
    archived=st.booleans(),
    keep_object=st.booleans(),
)


@given(events)
def test_a_line_reads_back_as_the_event_it_was_written_from(event):
    assert parse_line(to_line(event)) == event


@example("ü" * 200)
@given(
    st.text(NO_SURROGATES, min_size=1, max_size=300).filter(lambda name: not {"/", "\0"} & set(name) and name not in (".", ".."))
)
def test_whatever_name_a_file_system_has_a_line_of_it_can_be_read(name):
    event = ImageEvent("created", f"file:///images/{name}")
    assert parse_line(to_line(event)) == event


@given(events)
def test_a_line_is_one_line_to_every_reader_whatever_the_key(event):
    assert to_line(event).isascii()
    assert len(to_line(event).splitlines()) == 1


def test_a_line_has_the_fields_of_the_contract():
    line = to_line(ImageEvent("created", KIWI, "abc@v1", 4984, NOON, "0A"))
    assert json.loads(line) == {
        "event": "created",
        "path": KIWI,
        "etag": "abc@v1",
        "length": 4984,
        "event_time": "2026-11-05T12:00:00.123Z",
        "sequencer": "0A",
    }


@pytest.mark.parametrize(
    "key", ["a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg", "p\u00eache.jpg", "pe\u0301che.jpg", "a\nb\u2028c.jpg"]
)
def test_a_key_stays_as_its_owner_typed_it(key):
    assert parse_line(to_line(ImageEvent("created", f"s3://fruits/{key}"))).path == f"s3://fruits/{key}"


def test_only_event_and_path_are_needed_and_unknown_fields_are_left_for_later_versions():
    assert parse_line('{"event": "erase", "path": "file:///images/a.jpg", "why": "GDPR"}') == ImageEvent(
        "erase", "file:///images/a.jpg"
    )


def test_a_time_in_another_zone_is_read_as_the_same_moment():
    line = to_line(ImageEvent("created", KIWI, event_time=NOON.astimezone(timezone(timedelta(hours=2)))))
    assert parse_line(line).event_time == NOON


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "not a JSON object"),
        ('{"path": "s3://b/k.jpg"}', "event is None"),
        ('{"event": "moved", "path": "s3://b/k.jpg"}', "event is 'moved'; it must be one of created, removed, erase"),
        ('{"event": "created"}', "path is None"),
        ('{"event": "created", "path": "s3a://b/k.jpg"}', "path is 's3a://b/k.jpg'"),
        ('{"event": "created", "path": "s3://b"}', "path is 's3://b'"),
        ('{"event": "created", "path": "s3://b/folder/"}', "path is 's3://b/folder/'"),
        ('{"event": "created", "path": "images/a.jpg"}', "path is 'images/a.jpg'"),
        ('{"event": "created", "path": "file:///images/a\\u0000.jpg"}', "path is 'file:///images/a"),
        ('{"event": "erase", "path": "file:///images/../root/a.jpg"}', "which is 'file:///root/a.jpg'; one image has one name"),
        ('{"event": "created", "path": "file:////images//a.jpg"}', "which is 'file:///images/a.jpg'; one image has one name"),
        (f'{{"event": "created", "path": "s3://b/{"é" * 513}"}}', "path is 's3://b/é"),
        ('{"event": "created", "path": "s3://b/\\ud800.jpg"}', "path is"),
        ('{"event": "created", "path": "s3://b/\\udfff.jpg"}', "path is"),
        ('{"event": "created", "path": "s3://b/k.jpg", "etag": 7}', "etag is 7"),
        ('{"event": "created", "path": "s3://b/k.jpg", "length": -1}', "length is -1"),
        ('{"event": "created", "path": "s3://b/k.jpg", "length": true}', "length is True"),
        ('{"event": "created", "path": "s3://b/k.jpg", "length": 9223372036854775808}', "length is 9223372036854775808"),
        ('{"event": "created", "path": "s3://b/k.jpg", "event_time": "yesterday"}', "event_time is 'yesterday'"),
        ('{"event": "created", "path": "s3://b/k.jpg", "event_time": "2026-11-05T10:00:00"}', "event_time is"),
        ('{"event": "created", "path": "s3://b/k.jpg", "event_time": "9999-12-31T23:59:59-14:00"}', "event_time is"),
        ('{"event": "created", "path": "s3://b/k.jpg", "event_time": 5}', "event_time is 5"),
        ('{"event": "created", "path": "s3://b/k.jpg", "sequencer": "xyz"}', "sequencer is 'xyz'"),
        ('{"event": "created", "path": "s3://b/k.jpg", "sequencer": ""}', "sequencer is ''"),
    ],
)
def test_a_line_that_is_no_event_says_what_is_wrong_with_it(line, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_line(line)


@pytest.mark.parametrize("event", [ImageEvent("created", f"s3://b/{'k' * 1024}"), ImageEvent("created", KIWI, length=2**63 - 1)])
def test_the_longest_name_and_the_greatest_length_are_an_event(event):
    assert parse_line(to_line(event)) == event


@given(st.text())
def test_no_line_at_all_raises_anything_but_a_value_error(line):
    with suppress(ValueError):
        parse_line(line)


def put(sequencer, etag="abc"):
    return ImageEvent("created", KIWI, etag, sequencer=sequencer)


def removed(sequencer):
    return ImageEvent("removed", KIWI, sequencer=sequencer)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_the_greatest_sequencer_is_kept_in_whatever_order_the_events_come(order):
    happened = [put("01"), put("02"), removed("03")]
    assert latest(happened[index] for index in order) == [removed("03")]


def test_the_same_event_many_times_is_one():
    assert latest([put("01")] * 5) == [put("01")]


def test_two_versions_in_one_manifest_leave_the_newer_one():
    assert latest([put("02", "new"), put("01", "old")]) == [put("02", "new")]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("0055AED6DCD90281E5", "0055AED6DCD90281E501"),
        ("0055AED6DCD90281E501", "0055AED6DCD90281E6"),
        ("0055aed6dcd90281e5", "0055AED6DCD90281E6"),
        ("09", "0a"),
        (None, "01"),
    ],
)
def test_sequencers_compare_as_text_padded_with_zeros_on_the_right(earlier, later):
    assert latest([put(later), put(earlier)]) == [put(later)]
    assert latest([put(earlier), put(later)]) == [put(later)]


@given(*[st.text("0123456789ABCDEF", min_size=1, max_size=6)] * 2)
def test_the_order_of_sequencers_is_the_one_that_s3_documents(one, other):
    width = max(len(one), len(other))
    greater = max(one, other, key=lambda sequencer: sequencer.ljust(width, "0"))
    assert latest([put(one), put(other)])[0].sequencer.rstrip("0") == greater.rstrip("0")


def test_without_a_sequencer_the_later_time_is_kept():
    early, late = (ImageEvent("created", KIWI, event_time=NOON + timedelta(seconds=second)) for second in (0, 1))
    assert latest([late, early]) == [late]


def test_the_later_time_decides_between_sequencers_that_differ_in_zeros_alone_and_no_time_is_before_any():
    events = [
        ImageEvent("created", KIWI, sequencer="0"),
        ImageEvent("created", KIWI, event_time=NOON),
        ImageEvent("created", KIWI, event_time=NOON + timedelta(seconds=1), sequencer="000"),
    ]
    for order in itertools.permutations(events):
        assert latest(order) == events[2:]
    assert latest(events[:2]) == latest(events[1::-1]) == events[1:2]


def test_of_events_that_nothing_tells_apart_the_first_is_kept():
    assert latest([put("01", "first"), put("010", "second")]) == [put("01", "first")]


def test_an_erasure_wins_over_whatever_came_after_it():
    erase = ImageEvent("erase", KIWI)
    assert latest([put("01"), erase, put("FF")]) == [erase]


def test_an_erasure_of_the_object_too_wins_over_one_that_leaves_it():
    less, more = (ImageEvent("erase", KIWI, event_time=NOON, keep_object=keep) for keep in (True, False))
    later = replace(less, event_time=NOON + timedelta(minutes=1))
    for order in itertools.permutations([less, more, later, put("FF")]):
        assert latest(order) == [more]
    assert latest([put("FF"), less]) == [less]


def test_images_stay_apart_when_their_names_differ_only_in_encoding_or_spelling():
    names = ["a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg", "p\u00eache.jpg", "pe\u0301che.jpg"]
    named = [ImageEvent("created", f"s3://fruits/{name}") for name in names]
    assert latest(named * 2) == named


def test_manifests_hold_all_events_in_order_and_at_most_so_many_lines_each():
    named = [ImageEvent("created", f"s3://fruits/{number}.jpg") for number in range(2500)]
    bodies = list(manifests(named, max_lines=1000))
    assert [body.count(b"\n") for body in bodies] == [1000, 1000, 500]
    assert [parse_line(line) for body in bodies for line in body.decode().splitlines()] == named


def test_a_manifest_holds_a_thousand_events_unless_told_otherwise():
    assert [body.count(b"\n") for body in manifests([put("01")] * 1001)] == [1000, 1]


def test_no_events_make_no_manifest():
    assert list(manifests([])) == []


def test_a_manifest_lies_under_the_day_in_utc_and_its_name_comes_from_its_content_and_its_moment():
    when = datetime(2026, 11, 5, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    name = manifest_name("reconcile", when, b"{}\n")
    assert manifest_uri("s3://fruits/pipeline", when, name) == f"s3://fruits/pipeline/events/2026/11/04/{name}.jsonl"
    assert name == manifest_name("reconcile", when.astimezone(UTC), b"{}\n")
    assert name != manifest_name("reconcile", when, b"{}\n{}\n")
    assert name != manifest_name("reconcile", when + timedelta(microseconds=1), b"{}\n"), "it may name a change that came since"
    assert name.startswith("233000000000-reconcile-")


@pytest.fixture
def in_auckland(monkeypatch):
    """13 hours ahead of UTC, so that nothing is right by chance."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_auckland")
def test_names_and_lines_are_in_utc_wherever_the_machine_is():
    name = manifest_name("stream", NOON, b"{}\n")
    assert name == f"{NOON:%H%M%S%f}-stream-ca3d163bab055381", "with the first 16 digits that sha256sum prints"
    assert manifest_uri("s3://fruits/pipeline", NOON, name) == f"s3://fruits/pipeline/events/2026/11/05/{name}.jsonl"
    assert json.loads(to_line(ImageEvent("created", KIWI, event_time=NOON)))["event_time"] == "2026-11-05T12:00:00.123Z"
    line = '{"event": "created", "path": "s3://b/k.jpg", "event_time": "2026-11-05T10:00:00Z"}'
    assert parse_line(line).event_time.isoformat() == "2026-11-05T10:00:00+00:00"
