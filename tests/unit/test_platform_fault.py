"""Whose fault it is that all images of a chunk fail alike."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from fruitpipe import objects
from fruitpipe.errors import NotFound, PlatformFault
from fruitpipe.extractor import arrow_schema
from fruitpipe.ingest import platform_fault
from fruitpipe.ingest.chunks import Chunk, FeaturisedChunk
from fruitpipe.ingest.platform_fault import REASONS, Judge
from fruitpipe.table import lookup
from fruitpipe.table.data_files import Group
from fruitpipe.table.lookup import Known

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SHUT = [f"s3://b/Shut/{number}.jpg" for number in range(6)]
OTHERS = ["s3://b/Shut/other.jpg", "s3://b/Kiwi/0.jpg", "s3://b/Kiwi/1.jpg", "s3://b/Fig/0.jpg"]


def featurised(paths, reason, known=(), before=None):
    """All of `paths` fail for a reason; the rows of those that are known were there for that one, or for another before."""
    references = pa.Table.from_pylist([{"path": path} for path in paths], arrow_schema.REFERENCES)
    groups = [Group("failed", reason, len(paths), None, "as the test has it", None)]
    rows = [Known(path, None, None, "x", NOW, before or reason) for path in known]
    return FeaturisedChunk(Chunk(references, rows), groups, 0.0)


class Store:
    """What is there, and what becomes of each: features, or a reason, or it is gone. It notes what is looked at."""

    def __init__(self, monkeypatch, *, good=(), named=(), listed=(), fates=(), deleted=()):
        self.fates, self.looked, self.named, self.good, self.deleted = dict(fates), [], list(named), list(good), deleted
        monkeypatch.setattr(lookup, "good_paths", self.good_paths)
        monkeypatch.setattr(objects, "exists", self.exists)
        stats = [objects.Stat(path, "etag", 1, NOW) for path in listed]
        monkeypatch.setattr(objects, "list_all", lambda folder, *_: [stat for stat in stats if stat.path.startswith(folder)])

    def good_paths(self, _, count, but, but_below):
        return [path for path in self.good if path not in but and not path.startswith(tuple(but_below))][:count]

    def exists(self, bucket):
        if bucket in self.deleted:
            raise NotFound(f"{bucket}: there is no bucket")
        return True

    def featurise(self, paths):
        self.looked.append(list(paths))
        fates = [self.fates.get(path) for path in paths]
        return [
            Group("gone" if fate == "gone" else "failed" if fate else "featurised", fate, 1, None, None, None) for fate in fates
        ]

    def check(self, *given, **named):
        Judge("root", [*self.named, *SHUT], self.featurise).check(featurised(*given, **named))


def shut(reason):
    return dict.fromkeys([*SHUT, *OTHERS], reason)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("images", [1, 6])
def test_images_that_fail_alike_are_to_blame_where_another_that_was_good_still_is(monkeypatch, reason, images):
    store = Store(monkeypatch, good=OTHERS[1:], fates=dict.fromkeys(SHUT, reason))
    store.check(SHUT[:images], reason)
    assert store.looked[-1] == OTHERS[1:]


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("images", [1, 6])
def test_the_platform_is_to_blame_where_those_that_were_good_fail_alike(monkeypatch, reason, images):
    with pytest.raises(PlatformFault, match=f"all {images} images of this batch are {reason} "):
        Store(monkeypatch, good=OTHERS, fates=shut(reason)).check(SHUT[:images], reason)


def test_in_a_first_run_others_of_the_batch_tell_one_a_folder(monkeypatch):
    store = Store(monkeypatch, named=OTHERS, fates=dict.fromkeys(SHUT, "unreadable"))
    store.check(SHUT, "unreadable")
    assert store.looked[-1] == ["s3://b/Kiwi/0.jpg", "s3://b/Fig/0.jpg"]
    with pytest.raises(PlatformFault):
        Store(monkeypatch, named=OTHERS, fates=shut("unreadable")).check(SHUT, "unreadable")


def test_where_the_batch_has_no_other_folder_its_neighbours_tell(monkeypatch):
    store = Store(monkeypatch, listed=[*SHUT, *OTHERS], fates=dict.fromkeys(SHUT, "unreadable"))
    store.check(SHUT, "unreadable")
    assert store.looked[-1] == OTHERS[:1]


def test_at_most_three_others_are_looked_at_wherever_they_come_from(monkeypatch):
    folders = [f"s3://b/{name}/0.jpg" for name in "ABCDE"]
    beside = [f"s3://b/Shut/other {number}.jpg" for number in range(5)]
    for given, looked in (({"good": folders}, folders), ({"named": folders}, folders), ({"listed": [*SHUT, *beside]}, beside)):
        store = Store(monkeypatch, **given, fates=dict.fromkeys(SHUT, "unreadable"))
        store.check(SHUT, "unreadable")
        assert store.looked == [SHUT[:1], looked[:3]]


def test_images_that_were_good_are_looked_for_in_the_roots_table_and_not_in_the_chunk(monkeypatch):
    asked = []
    store = Store(monkeypatch, fates=shut("too-slow"))
    monkeypatch.setattr(lookup, "good_paths", lambda *given: asked.append(given) or [])
    store.check(SHUT[:1], "too-slow")
    assert asked == [("root", 3, frozenset(SHUT[:1]), [])]


def test_images_of_a_deleted_bucket_are_to_blame_though_the_latest_good_ones_were_there_too(monkeypatch):
    there = "s3://other/Kiwi/0.jpg"
    store = Store(monkeypatch, good=[*OTHERS, there], fates=shut("unreadable"), deleted=["s3://b"])
    store.check(SHUT, "unreadable")
    assert store.looked == [SHUT[:1], [there]]


def test_where_a_deleted_bucket_is_all_there_is_the_platform_is_told_and_it_is_not_listed(monkeypatch):
    store = Store(monkeypatch, good=OTHERS, fates=shut("unreadable"), deleted=["s3://b"])

    def listed(folder, _on_denied):
        raise NotFound(f"{folder}: there is no bucket b")
        yield

    monkeypatch.setattr(objects, "list_all", listed)
    with pytest.raises(PlatformFault, match="all 6 images of this batch are unreadable"):
        store.check(SHUT, "unreadable")


def test_the_fault_says_how_many_images_of_what_and_why(monkeypatch):
    said = "all 6 images of this batch are unreadable (as the test has it); nothing was written. Fix that and start again"
    with pytest.raises(PlatformFault) as fault:
        Store(monkeypatch, good=OTHERS, fates=shut("unreadable")).check(SHUT, "unreadable")
    assert str(fault.value) == said
    said = "6 images of this batch were unreadable (as the test has it), and one is not any more; start again"
    with pytest.raises(PlatformFault) as fault:
        Store(monkeypatch, good=OTHERS).check(SHUT, "unreadable")
    assert str(fault.value) == said


def test_a_chunk_in_which_one_image_fares_better_is_nobodys_fault(monkeypatch):
    store = Store(monkeypatch, good=OTHERS, fates=shut("unreadable"))
    failed = featurised(SHUT, "unreadable")
    groups = [Group("featurised", None, 1, 0.1, None, "{}"), *failed.groups]
    Judge("root", SHUT, store.featurise).check(FeaturisedChunk(failed.chunk, groups, 0.0))
    assert not store.looked


def test_what_is_read_and_is_no_picture_fares_better_and_what_is_gone_says_nothing(monkeypatch):
    fates = shut("unreadable") | {OTHERS[1]: "truncated"}
    Store(monkeypatch, good=OTHERS, fates=fates).check(SHUT, "unreadable")
    with pytest.raises(PlatformFault):
        Store(monkeypatch, good=OTHERS, fates=shut("unreadable") | {OTHERS[1]: "gone"}).check(SHUT, "unreadable")


GONE = [f"s3://b/Gone/{number}.jpg" for number in range(3)]


@pytest.mark.parametrize("reason", ["crashes-decoder", "decoder-error", "too-slow"])
def test_an_image_stops_no_stream_whose_good_images_are_all_gone(monkeypatch, reason):
    Store(monkeypatch, good=GONE, fates=shut(reason) | dict.fromkeys(GONE, "gone")).check(SHUT[:1], reason)


def test_where_the_good_images_are_all_gone_others_are_looked_at(monkeypatch):
    fates = dict.fromkeys(SHUT, "unreadable") | dict.fromkeys(GONE, "gone")
    store = Store(monkeypatch, good=GONE, named=OTHERS, fates=fates)
    store.check(SHUT, "unreadable")
    assert store.looked == [SHUT[:1], GONE, ["s3://b/Kiwi/0.jpg", "s3://b/Fig/0.jpg"]]
    store = Store(monkeypatch, good=GONE, listed=[*SHUT, OTHERS[0]], fates=fates)
    store.check(SHUT, "unreadable")
    assert store.looked[-1] == OTHERS[:1]
    with pytest.raises(PlatformFault):
        Store(monkeypatch, good=GONE, fates=fates).check(SHUT[:1], "unreadable")


@pytest.mark.parametrize(
    ("reason", "images", "platforms"),
    [
        ("unreadable", 1, True),
        ("unreadable", 6, True),
        ("crashes-decoder", 4, False),
        ("crashes-decoder", 5, True),
        ("too-slow", 1, False),
    ],
)
def test_where_there_is_nothing_to_compare_with_a_refusal_is_the_stores_and_a_few_crashes_are_the_images(
    monkeypatch, reason, images, platforms
):
    store = Store(monkeypatch, fates=shut(reason))
    if platforms:
        with pytest.raises(PlatformFault):
            store.check(SHUT[:images], reason)
    else:
        store.check(SHUT[:images], reason)


def test_a_refusal_that_is_over_stops_the_stream_as_the_images_are_to_be_read(monkeypatch):
    with pytest.raises(PlatformFault, match="and one is not any more; start again"):
        Store(monkeypatch, good=OTHERS).check(SHUT, "unreadable")


def test_what_was_unreadable_before_and_still_is_says_nothing_new(monkeypatch):
    store = Store(monkeypatch, good=OTHERS, fates=shut("unreadable"))
    store.check(SHUT, "unreadable", known=SHUT)
    assert not store.looked
    with pytest.raises(PlatformFault):
        store.check(SHUT, "unreadable", known=SHUT[:5])


def test_images_that_were_unreadable_and_crash_the_decoder_now_are_new_failures(monkeypatch):
    with pytest.raises(PlatformFault):
        Store(monkeypatch, good=OTHERS, fates=shut("crashes-decoder")).check(
            SHUT, "crashes-decoder", known=SHUT, before="unreadable"
        )


@pytest.mark.parametrize("reason", ["archived", "no-key", "truncated"])
def test_an_objects_own_state_is_never_the_platforms_fault(monkeypatch, reason):
    store = Store(monkeypatch, fates=shut(reason))
    store.check(SHUT, reason)
    assert not store.looked


def test_images_that_are_gone_hide_no_refusal_of_all_others(monkeypatch):
    refused = featurised([*SHUT, *GONE], "unreadable")
    refused.groups[:] = [refused.groups[0]._replace(images=len(SHUT)), Group("gone", None, len(GONE), None, None, None, GONE)]
    store = Store(monkeypatch, good=OTHERS, fates=shut("unreadable"))
    with pytest.raises(PlatformFault, match="all 6 images of this batch are unreadable"):
        Judge("root", SHUT, store.featurise).check(refused)
    refused.groups[:] = refused.groups[1:]  # all are gone
    Judge("root", SHUT, store.featurise).check(refused)


def test_a_link_to_where_nobody_may_look_beside_the_images_of_a_chunk_is_no_control_and_no_fault(tmp_path, monkeypatch):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        objects.write(f"file://{tmp_path}/Kiwi/{name}", b"")
    stat, uri = Path.stat, f"file://{tmp_path}/Kiwi"

    def refused(path, **options):
        if path.name == "a.jpg" and not options:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert platform_fault._neighbours(f"{uri}/b.jpg", frozenset([f"{uri}/b.jpg"])) == [f"{uri}/c.jpg"]
