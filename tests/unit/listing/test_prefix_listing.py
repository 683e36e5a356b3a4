"""What a listing of the image prefix names as new or changed, and what it skips."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.errors import AccessDenied, NoImages
from fruitpipe.ingest import prefix_listing, repeated_listing, waiting_manifests
from fruitpipe.ingest.prefix_check import check_images
from fruitpipe.ingest.repeated_listing import RepeatedListing
from fruitpipe.pictures import naming
from fruitpipe.root import manifests
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.settings import IngestSettings
from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import HashIndex
from tests.pictures import fill, jpeg, put
from tests.rows import empty_table, put_rows


def test_what_is_skipped_is_said_once_a_run_and_named_in_no_manifest(images, begin, named, capsys):
    fill(images, 1)
    put(images / "Kiwi" / "._0000.jpg", b"attributes")
    put(images / "Kiwi" / "a.DNG", b"")
    prefix = begin()
    assert (prefix.list_once(), prefix.list_once()) == (1, 0)
    assert named()[0] == ["0000.jpg"]
    assert capsys.readouterr().out.splitlines() == [
        "ingest: skipped: 1 side files of macOS; names that are not like *.{jpg,jpeg,png,webp,avif,heic,heif,hif}: 1 .dng"
    ]


def test_a_folder_of_other_formats_alone_is_told_so(images, root):
    for name in ("a.DNG", "b.dng", "c.MOV"):
        put(images / name, b"")
    settings = IngestSettings(images=str(images), root=root)
    with pytest.raises(NoImages, match=r"no image matches .*: 2 \.dng, 1 \.mov\); check --images and --glob"):
        check_images(settings, naming.proposed(settings, is_new=lambda: True))


def test_what_a_listing_finds_in_an_archive_is_named_so_with_its_etag(root, begin, monkeypatch):
    found = [objects.Stat(f"s3://b/Kiwi/{at}.jpg", "etag", 5, datetime.now(UTC), is_archived=at == 1) for at in range(2)]
    monkeypatch.setattr(prefix_listing, "images", lambda *_: iter(found))
    begin().list_once()
    (manifest,) = [stat.path for stat in objects.list_all(f"{root}/events")]
    named = [manifests.parse_line(line) for line in objects.read(manifest).decode().splitlines()]
    assert [(event.path, event.etag, event.archived) for event in named] == [
        ("s3://b/Kiwi/0.jpg", "etag", False),
        ("s3://b/Kiwi/1.jpg", "etag", True),
    ]


@pytest.mark.parametrize(
    ("error", "is_archived", "named"),
    [
        ("archived", True, 0),  # it lies there yet
        ("archived", None, 0),  # in Intelligent-Tiering, where a listing cannot tell
        ("archived", False, 1),  # the same bytes were put under a class that everybody can read, and no event came
        (None, True, 0),  # its features stay
        (None, False, 0),
    ],
)
def test_an_archived_row_is_looked_at_again_when_the_listing_tells_a_class_that_can_be_read(
    root, begin, monkeypatch, error, is_archived, named
):
    empty_table(root)
    stat = objects.Stat("s3://b/Kiwi/0.jpg", "etag", 5, datetime.now(UTC), is_archived)
    put_rows(root, [stat], error=error)
    rows = path_hashes.of_rows(root, "s3://b")
    monkeypatch.setattr(prefix_listing, "images", lambda *_: iter([stat]))
    prefix = begin(rows)
    assert (prefix.list_once(), prefix.list_once()) == (named, 0)


def test_an_image_that_is_restored_while_the_stream_runs_is_named_again(begin, monkeypatch):
    prefix, told = begin(), []
    for is_archived in (False, True, True, False, False):
        stat = objects.Stat("s3://b/Kiwi/0.jpg", "etag", 5, datetime.now(UTC), is_archived)
        monkeypatch.setattr(prefix_listing, "images", lambda *_, stat=stat: iter([stat]))
        told.append(prefix.list_once())
    assert told == [1, 0, 0, 1, 0]


def test_each_image_is_named_once_and_an_overwritten_one_again(images, begin, named):
    prefix = begin()
    fill(images, 3)
    put(images / "Kiwi" / "notes.txt", b"no image by its name")
    assert (prefix.list_once(), prefix.list_once()) == (3, 0)
    path = images / "Kiwi" / "0001.jpg"
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same size, the same time: ctime alone tells
    fill(images, 1, first=3)
    assert prefix.list_once() == 2
    assert named() == (["0000.jpg", "0001.jpg", "0001.jpg", "0002.jpg", "0003.jpg"], 2)


def test_names_that_spark_would_hide_and_empty_files_are_images(images, begin, named):
    for name in ("_new.jpg", ".kept.jpg", "_folder/0.jpg", "empty.jpg"):
        put(images / name, b"" if name == "empty.jpg" else jpeg(0))
    assert begin().list_once() == 4
    assert named()[0] == [".kept.jpg", "0.jpg", "_new.jpg", "empty.jpg"]


def test_what_has_a_row_of_the_same_etag_is_not_named(images, begin, named):
    fill(images, 3)
    there = {objects.name(stat.path): stat for stat in objects.list_all(f"file://{images}")}
    etags = {"0000.jpg": there["0000.jpg"].etag, "0001.jpg": "other"}
    paths = path_hashes.of_paths(there[name].path for name in etags)
    seen = np.array([path_hashes.of_image(there[name].path, etag) for name, etag in etags.items()])
    assert begin(HashIndex.of(paths, seen)).list_once() == 2
    assert named()[0] == ["0001.jpg", "0002.jpg"]


def test_an_image_that_was_gone_for_a_while_is_named_when_it_is_back(images, begin):
    (uri, _) = fill(images, 2)
    path = Path(uri.removeprefix("file://"))
    prefix = begin()
    prefix.list_once()
    path.rename(images.with_name("elsewhere"))
    assert prefix.list_once() == 0
    images.with_name("elsewhere").rename(path)
    assert prefix.list_once() == 1


@pytest.mark.parametrize(("source", "kept"), [("prefix", 1000), ("events", 0)])
def test_a_stream_that_lists_nothing_keeps_nothing_of_the_images_that_it_finds_gone(begin, source, kept):
    listing = begin(source=source)
    for number in range(1000):
        listing.found_gone([f"s3://b/in/{number}.jpg"])
    assert len(listing._gone) == kept


def test_an_event_carries_what_the_listing_knows(images, begin, root):
    (uri,) = fill(images, 1)
    begin().list_once()
    (manifest,) = objects.list_all(f"{root}/events")
    event = manifests.parse_line(objects.read(manifest.path).decode())
    (stat,) = objects.list_all(f"file://{images}")
    assert event == manifests.ImageEvent("created", uri, stat.etag, stat.length)


def test_manifests_are_no_larger_than_a_batch_and_wait_until_one_took_them(images, begin, named, root):
    fill(images, 7)
    assert begin(max_files_per_trigger=3).list_once() == 7
    assert named()[1] == 3
    waiting = waiting_manifests.named_in(waiting_manifests.unread(root, f"{root}/checkpoints/ingest", prefix_listing.WRITER))
    assert begin(waiting).list_once() == 0  # a stream that is started again names nothing twice
    read = [stat.path for stat in objects.list_all(f"{root}/events")][:2]
    log = [{"path": uri, "timestamp": 0, "batchId": number} for number, uri in enumerate(read)]
    objects.write(f"{root}/checkpoints/ingest/sources/0/1", ("v1\n" + "\n".join(map(json.dumps, log))).encode())
    objects.write(f"{root}/checkpoints/ingest/offsets/0", b'v1\n{}\n{"logOffset": 1}')
    objects.write(f"{root}/checkpoints/ingest/commits/0", b"v1\n{}")
    assert waiting_manifests.count_lines(waiting_manifests.unread(root, f"{root}/checkpoints/ingest")) in (1, 3)


def test_an_erased_image_whose_object_was_kept_is_not_named(images, begin, named, root):
    uris = fill(images, 3)
    register.request(root, uris[:1], requested_by="test", keep_object=True)
    assert begin().list_once() == 2
    assert named()[0] == ["0001.jpg", "0002.jpg"]


def test_it_goes_on_beside_the_block_and_begins_with_what_is_there(images, begin, named):
    fill(images, 2)
    repeated = RepeatedListing(begin(trigger_seconds=0))
    with repeated.running():
        assert named()[0] == ["0000.jpg", "0001.jpg"]
        fill(images, 1, first=2)
        while len(named()[0]) < 3:
            repeated.check()
    assert not [thread for thread in threading.enumerate() if thread.name == "fruitpipe-listing"]
    with repeated.running():  # as after an erasure
        repeated.check()
    assert len(named()[0]) == 3


def test_what_goes_wrong_beside_the_block_is_raised_by_check(images, begin, monkeypatch):
    fill(images, 1)
    repeated = RepeatedListing(begin())

    def refused(*_):
        raise AccessDenied("the credentials are not valid; renew them")

    monkeypatch.setattr(objects, "list_all", refused)
    with pytest.raises(AccessDenied, match="renew them"), repeated.running():
        pytest.fail("a stream began whose prefix cannot be listed")


def test_a_mount_that_comes_and_goes_costs_nothing(images, begin):
    fill(images, 5)
    prefix = begin()
    assert prefix.list_once() == 5
    images.rename(images.with_name("unmounted"))
    assert prefix.list_once() == 0
    images.with_name("unmounted").rename(images)
    assert prefix.list_once() == 0


def test_after_an_erasure_an_image_that_was_put_back_is_named(images, begin, root):
    uris = fill(images, 3)
    prefix = begin()
    record = register.request(root, uris[:1], requested_by="test")
    assert prefix.list_once() == 2  # it is still being carried out
    register.complete(root, record)
    assert prefix.list_once() == 0
    prefix.begin_anew()
    assert prefix.list_once() == 3


def test_a_line_of_somebody_elses_that_is_no_event_hinders_no_listing(tmp_path):
    elsewhere = f"file://{tmp_path}/a-listing-root"
    objects.write(f"{elsewhere}/events/2026/01/01/000000-s3-0123.jsonl", b"nonsense \xff\n")
    unread = waiting_manifests.unread(elsewhere, f"{elsewhere}/checkpoints/ingest")
    assert waiting_manifests.count_lines(unread) == 1
    assert len(waiting_manifests.named_in(unread)) == 0


def test_what_spark_never_reads_does_not_wait_as_what_a_job_left_that_wrote_manifests_and_failed(tmp_path):
    root = f"file://{tmp_path}/root"
    for name in ("_temporary/0/a.jsonl", "2026/.b.jsonl", "2026/c.jsonl", "2026/d.json", ".e/f.jsonl"):
        objects.write(f"{root}/events/{name}", b"{}\n")
    waiting = waiting_manifests.unread(root, f"{root}/checkpoints/ingest")
    assert waiting == [f"{root}/events/2026/c.jsonl"]


def test_a_listing_that_is_stopped_in_the_middle_counts_for_nothing(images, begin, named, monkeypatch):
    fill(images, 3)
    monkeypatch.setattr(prefix_listing, "LINES", 1)
    prefix = begin()
    assert prefix.list_once(lambda: not named()[0]) < 3
    assert prefix.list_once() == 3


@pytest.mark.parametrize(("trigger", "now", "took"), [(30, 1000.0, 0.1), (30, 1019.9, 2.0), (1, 7.3, 0.05), (2, 9.75, 40.0)])
def test_it_ends_just_before_spark_looks(trigger, now, took):
    pause = repeated_listing.pause(trigger, now, took)
    assert 0 < pause <= trigger
    assert (now + pause + took + repeated_listing.BEFORE_TRIGGER_SECONDS) % trigger == pytest.approx(
        0, abs=1e-6
    ) or took > trigger


def test_without_a_trigger_it_looks_again_soon():
    assert repeated_listing.pause(0, 1000.0, 3.0) == repeated_listing.PAUSE_SECONDS


def test_waiting_manifests_are_kept_as_numbers_and_not_as_lines(tmp_path):
    root = f"file://{tmp_path}/root"
    body = "".join(f"{manifests.to_line(ImageEvent('created', f's3://f/{n}.jpg', 'e'))}\n" for n in range(1000)).encode()
    for number in range(50):
        objects.write(f"{root}/events/2026/01/01/{number:06d}-listing-0.jsonl", body)
    uris = waiting_manifests.unread(root, f"{root}/checkpoints/ingest", "listing")
    tracemalloc.start()
    seen = waiting_manifests.named_in(uris)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seen) == 1000
    assert most < 6_000_000 + 50_000 * 16 * 3, "READERS manifests of 90 kB in memory, and 16 bytes an image, some times over"
