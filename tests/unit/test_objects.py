"""Objects by URI on a local folder; the same verbs on S3 are tested against a server."""

from __future__ import annotations

import errno
import os
import socket
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from fruitpipe import objects
from fruitpipe.errors import Conflict, NotFound, PlatformFault, WrongUsage
from fruitpipe.objects import local, s3_listing
from fruitpipe.objects.local_files import stat_of


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s3://b/a b+c%20d#e?f/", "s3://b/a b+c%20d#e?f"),
        ("s3a://b/k", "s3://b/k"),
        ("s3n://b", "s3://b"),
        ("file:/x//y/../z", "file:///x/z"),
        ("file:///x/y%20z", "file:///x/y%20z"),
        ("/x/é", "file:///x/é"),
        ("/x/a:b", "file:///x/a:b"),
    ],
)
def test_a_uri_has_one_spelling(given, expected):
    assert objects.canonical(given) == expected
    assert objects.canonical(expected) == expected


@pytest.mark.parametrize("uri", ["", "gs://b/k", "https://b/k", "s3://", "s3:///"])
def test_a_place_that_cannot_be_reached_is_wrong_usage(uri):
    with pytest.raises(WrongUsage, match="s3://bucket/prefix"):
        objects.canonical(uri)


def test_spark_gets_the_spelling_that_it_gives_itself():
    assert objects.for_spark("s3://b/s3://k") == "s3a://b/s3://k"
    assert objects.for_spark("file:///x/y") == "file:/x/y"


@pytest.mark.parametrize(("uri", "bucket"), [("s3://fruit", "fruit"), ("s3://fruit/a/b.jpg", "fruit"), ("file:///a/b.jpg", "")])
def test_a_uri_tells_its_bucket(uri, bucket):
    assert objects.bucket(uri) == bucket


@pytest.mark.parametrize(
    ("uri", "key"), [("s3://fruit", ""), ("s3://fruit/a b.jpg", "a b.jpg"), ("s3://fruit//a/s3://b", "/a/s3://b")]
)
def test_a_uri_in_s3_tells_its_key_whatever_that_holds(uri, key):
    assert objects.bucket_and_key(uri) == ("fruit", key)


def test_what_is_written_is_read_back_with_its_length_and_a_time(tmp_path):
    uri = f"file://{tmp_path}/deep/folder/x"
    etag = objects.write(uri, b"abc")
    found = objects.look(uri)
    assert (found.body, found.stat.etag, found.stat.length, found.stat.path) == (b"abc", etag, 3, uri)
    assert found.stat.modification_time.tzinfo is not None


@pytest.mark.parametrize(
    ("storage_class", "is_archived"),
    [("GLACIER", True), ("DEEP_ARCHIVE", True), ("GLACIER_IR", False), ("INTELLIGENT_TIERING", None), (None, False)],
)
def test_a_listing_tells_which_objects_have_to_be_restored_first(storage_class, is_archived):
    entry = {"Key": "a.jpg", "ETag": '"e"', "Size": 1, "LastModified": datetime.now(UTC)}
    answer = {"Contents": [entry | ({"StorageClass": storage_class} if storage_class else {})]}
    assert [stat.is_archived for stat in s3_listing._stats("b", answer)] == [is_archived]


def test_a_look_tells_unchanged_gone_too_large_and_found_apart(tmp_path):
    uri = f"file://{tmp_path}/x"
    etag = objects.write(uri, b"abc")
    assert objects.look(uri, known_etag=etag) == objects.Unchanged()
    assert isinstance(objects.look(uri, known_etag="another"), objects.Found)
    assert objects.look(uri, max_bytes=2).stat.length == 3
    assert isinstance(objects.look(uri, max_bytes=3), objects.Found)
    objects.delete(uri)
    assert objects.look(uri) == objects.Gone()
    assert objects.look(f"file://{tmp_path}") == objects.Gone()


def test_an_overwrite_with_the_same_size_and_time_has_another_etag(tmp_path):
    uri = f"file://{tmp_path}/x"
    first = objects.write(uri, b"abc")
    times = os.stat(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"xyz")
    os.utime(tmp_path / "x", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert objects.look(uri).stat.etag != first


def test_a_listing_holds_every_file_below_and_none_beside(tmp_path):
    for name in ("in/a.jpg", "in/deep/er/b.jpg", "in/.hidden", "in/_c", "inside/d.jpg"):
        objects.write(f"file://{tmp_path}/{name}", b"")
    listed = {stat.path.removeprefix(f"file://{tmp_path}/") for stat in objects.list_all(f"file://{tmp_path}/in")}
    assert listed == {"in/a.jpg", "in/deep/er/b.jpg", "in/.hidden", "in/_c"}
    assert objects.children(f"file://{tmp_path}/in") == [".hidden", "_c", "a.jpg", "deep/"]
    assert not objects.exists(f"file://{tmp_path}/nowhere")


def test_a_conditional_write_loses_against_whoever_was_first(tmp_path):
    uri = f"file://{tmp_path}/x"
    etag = objects.write(uri, b"1", if_absent=True)
    with pytest.raises(Conflict):
        objects.write(uri, b"2", if_absent=True)
    objects.write(uri, b"3", if_etag=etag)
    with pytest.raises(Conflict):
        objects.write(uri, b"4", if_etag=etag)
    assert objects.read(uri) == b"3"


def test_of_many_conditional_writers_at_once_one_wins(tmp_path):
    uri, won = f"file://{tmp_path}/x", []

    def write(number):
        try:
            objects.write(uri, str(number).encode(), if_absent=True)
        except Conflict:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert objects.read(uri) == str(won[0]).encode()


def test_a_written_file_may_be_read_by_whoever_the_umask_lets(tmp_path):
    before = os.umask(0o022)
    try:
        objects.write(f"file://{tmp_path}/x", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


def test_reading_what_is_not_there_names_it(tmp_path):
    with pytest.raises(NotFound, match="x: there is no such object"):
        objects.read(f"file://{tmp_path}/x")


def test_everything_below_a_folder_is_removed_and_counted(tmp_path):
    for name in ("a", "b/c", "b/d/e"):
        objects.write(f"file://{tmp_path}/in/{name}", b"")
    assert objects.delete_all(f"file://{tmp_path}/in") == 3
    assert not (tmp_path / "in").exists()
    assert objects.delete_all(f"file://{tmp_path}/in") == 0


def test_a_listing_passes_over_what_is_no_image_for_anybody(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / os.fsdecode(b"p\xeache.jpg")).write_bytes(b"latin-1")
    assert [stat.path for stat in objects.list_all(f"file://{tmp_path}")] == [f"file://{tmp_path}/a.jpg"]
    assert "p\\xeache.jpg': its name is not UTF-8" in capsys.readouterr().err
    assert isinstance(objects.look(f"file://{tmp_path}/itself.jpg"), objects.Gone)


def test_a_pipe_a_socket_and_a_device_are_no_images_and_none_waits_for_them(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(tmp_path / "socket.jpg"))
        assert list(objects.list_all(f"file://{tmp_path}")) == []
        for name in ("pipe.jpg", "socket.jpg", "device.jpg"):
            assert objects.look(f"file://{tmp_path}/{name}", max_bytes=10) == objects.Gone()
    said = capsys.readouterr().err
    assert said.count("it is a pipe, a socket or a device, and is skipped") == 3


def test_a_file_that_became_a_pipe_since_it_was_seen_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    answers = iter([True, False])
    monkeypatch.setattr(local, "is_file", lambda _: next(answers))
    assert objects.look(f"file://{tmp_path}/pipe.jpg") == objects.Gone()


def test_a_file_that_grows_while_it_is_read_is_read_no_further_than_is_allowed():
    # The kernel says that this file is empty, and gives bytes all the same.
    found = objects.look("file:///proc/self/status", max_bytes=10)
    assert isinstance(found, objects.TooLarge)
    assert isinstance(objects.look("file:///proc/self/status", max_bytes=1_000_000), objects.Found)


def test_a_name_that_no_file_can_have_is_not_there(tmp_path):
    assert objects.look(f"file://{tmp_path}/{'a' * 256}") == objects.Gone()
    assert objects.look(f"file:///{'a/' * 3000}b") == objects.Gone()


def test_a_folder_too_deep_to_be_named_whole_is_skipped(tmp_path, capsys):
    objects.write(f"file://{tmp_path}/a.jpg", b"a")
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(18):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.fchdir(before)
        os.close(before)
    assert [stat.path for stat in objects.list_all(f"file://{tmp_path}")] == [f"file://{tmp_path}/a.jpg"]
    assert "its whole name is too long to be opened, and it is skipped" in capsys.readouterr().err


def test_a_file_that_alone_cannot_be_read_is_unreadable_and_a_mount_that_is_away_is_a_fault(tmp_path, monkeypatch):
    (tmp_path / "x.jpg").symlink_to("/proc/self/mem")  # the kernel gives EIO, as for a bad sector
    assert objects.look(f"file://{tmp_path}/x.jpg", max_bytes=10) == objects.Unreadable("Input/output error")
    (tmp_path / "y.jpg").write_bytes(b"y")

    def away(*_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(local, "_open", away)
    with pytest.raises(PlatformFault, match="check the disk or the mount"):
        objects.look(f"file://{tmp_path}/y.jpg")


@pytest.mark.parametrize(("seconds", "year"), [(300_000_000_000, 9999), (-80_000_000_000, 1), (1_700_000_000, 2023)])
def test_a_file_of_a_time_that_no_timestamp_can_tell_is_listed_with_the_nearest(seconds, year):
    """As of a clock that was never set, or of a faulty archive. Not every file system keeps such times."""
    status = SimpleNamespace(st_size=1, st_mtime=float(seconds), st_mtime_ns=seconds * 10**9, st_ctime_ns=0)
    assert stat_of("file:///x.jpg", status).modification_time.year == year
