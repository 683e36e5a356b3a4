"""What becomes of the images' own objects: on a folder, where a picture may have other names."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.erasure import certificate, image_objects, notes, places, register
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.steps import Request, Steps
from fruitpipe.errors import AccessDenied, PlatformFault
from fruitpipe.export import register as exports
from fruitpipe.export.register import Export
from fruitpipe.refit import publication
from fruitpipe.settings import IngestSettings
from tests.versions import publish


@pytest.fixture(autouse=True)
def _nothing_elsewhere_on_this_machine(monkeypatch):
    monkeypatch.setattr(places, "on_this_machine", lambda _: [])  # where other tests may have had Spark write


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def put(tmp_path):
    def put(name):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a picture")
        return path

    return put


def request(root, *paths):
    return register.request(root, [f"file://{path}" for path in paths], requested_by="")


def remaining(root, record):
    gone = notes.objects_of(root, record.id)
    return certificate.remaining(root, record, [], Traces.of(notes.names(root, record.id)), gone)


def test_a_link_goes_and_the_record_names_the_picture_until_that_is_gone_too(root, put, tmp_path):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"a picture")
    link = put("x.jpg").with_name("link.jpg")
    link.symlink_to(outside)
    record = request(root, link)
    assert image_objects.remove(root, record.id).removed == 1
    assert not link.is_symlink()
    assert outside.exists()
    left, _ = remaining(root, record)
    assert [one["what"] for one in left] == [f"file://{outside}"]
    outside.unlink()
    assert remaining(root, record)[0] == []


def test_a_file_with_other_names_is_told_with_its_inode_and_names_that_go_too_do_not_count(root, put):
    one, two, three = put("1.jpg"), put("2.jpg"), put("3.jpg")
    inode = one.stat().st_ino
    for other in (two, three):
        other.unlink()
        os.link(one, other)
    record = request(root, one, two)
    image_objects.remove(root, record.id)
    _, told = remaining(root, record)
    assert [line["what"] for line in told] == [f"the file with inode {inode}, which has 1 more names"]
    record = request(root, three)
    image_objects.remove(root, record.id)
    assert remaining(root, record) == ([], [])


def test_an_app_of_a_version_that_is_not_published_is_told_with_how_to_write_it_again(root, put):
    """Which version an erasure withdrew is in its record; another may be gone as `--keep` removed it."""
    for number in (1, 2, 3):
        publish(root)
        exports.add(root, Export("s3://shop/app", f"v00000{number}-01234567", f"v00000{number}"))
    record = request(root, put("x.jpg"))
    image_objects.remove(root, record.id)
    assert remaining(root, record) == ([], [])
    assert publication.prune(root, 2) == ["v000001"]
    publication.withdraw(root, ["v000002"])
    steps = Steps(None, IngestSettings(images="/images", root=root), lambda: None)
    withdrawn = steps._withdrawn(Request(record, Traces.of([])), 0, 0)
    assert withdrawn.withdrawn == ["v000002"]
    register.save(root, withdrawn)
    publication.discard(root, "v000002")
    left, told = remaining(root, record)
    assert left == []
    again = {"until": "fruitpipe app --root ROOT s3://shop/app writes it again, or with --remove takes it away"}
    assert told == [
        {"what": "s3://shop/app/v000001-01234567", "why": "it was made of v000001, which is not published any more"} | again,
        {"what": "s3://shop/app/v000002-01234567", "why": "it was made of v000002, which an erasure withdrew"} | again,
    ]


def test_a_list_of_apps_that_cannot_be_read_is_told_and_the_certificate_is_written_all_the_same(root, put, monkeypatch):
    record = request(root, put("x.jpg"))
    image_objects.remove(root, record.id)
    uri = f"{root}/models/exports.json"
    objects.write(uri, b'[{"place": "s3://shop/a')
    left, told = remaining(root, record)
    assert (left, [one["what"] for one in told]) == ([], ["apps and published copies that were made of earlier versions"])
    assert told[0]["why"].startswith(f"which is not known: {uri}: does not read back")

    read = objects.read_with_etag

    def refuses(asked):
        if asked == uri:
            raise AccessDenied(f"{uri}: access is denied (403)")
        return read(asked)

    monkeypatch.setattr(objects, "read_with_etag", refuses)
    assert remaining(root, record)[1] == [told[0] | {"why": f"which is not known: {uri}: access is denied (403)"}]


def test_only_what_was_refused_is_removed_again_and_a_picture_that_was_put_back_stays(root, put, monkeypatch):
    gone, locked = put("gone.jpg"), put("locked.jpg")
    record = request(root, gone, locked)
    erase = objects.erase

    def refusing(uri):
        if uri.endswith("locked.jpg"):
            raise AccessDenied(f"{uri}: access is denied (locked)")
        return erase(uri)

    with monkeypatch.context() as refused:
        refused.setattr(objects, "erase", refusing)
        assert image_objects.remove(root, record.id).left == ((1, "access is denied (locked)"),)
    put("gone.jpg")
    done = image_objects.remove(root, record.id)
    assert (done.removed, done.left) == (2, ())
    assert (gone.exists(), locked.exists()) == (True, False)
    assert image_objects.returned([f"file://{gone}", f"file://{locked}"]) == [f"file://{gone}"]


def test_what_the_command_has_removed_meanwhile_is_not_left_where_the_stream_was_refused(root, put, monkeypatch):
    record, erase = request(root, put("a.jpg"), put("b.jpg"), put("locked.jpg")), objects.erase

    def refused(uri):
        raise AccessDenied(f"{uri}: access is denied (403)")

    def of_command(uri):
        return refused(uri) if uri.endswith("locked.jpg") else erase(uri)

    def of_stream(uri):
        if uri.endswith("a.jpg"):  # the command, which has the right, begins later and ends before
            monkeypatch.setattr(objects, "erase", of_command)
            assert image_objects.remove(root, record.id).removed == 2
        refused(uri)

    monkeypatch.setattr(objects, "erase", of_stream)
    monkeypatch.setattr(image_objects, "REMOVERS", 1)
    assert image_objects.remove(root, record.id).left == ((2, "access is denied (403)"),)
    assert notes.objects_of(root, record.id).removed == 2


def test_an_image_on_a_read_only_mount_is_left_with_the_reason_and_the_others_go(root, put, monkeypatch):
    stays, goes = put("stays.jpg"), put("z.jpg")
    record = request(root, stays, goes)
    unlink = Path.unlink

    def refusing(path, *given, **named):
        if path == stays:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        unlink(path, *given, **named)

    with monkeypatch.context() as mounted:
        mounted.setattr(Path, "unlink", refusing)
        assert image_objects.remove(root, record.id).left == ((0, "Read-only file system"),)
    assert (stays.exists(), goes.exists()) == (True, False)
    assert [one["why"] for one in remaining(root, record)[0]] == ["Read-only file system"]
    assert image_objects.remove(root, record.id).left == ()


def test_the_reason_that_an_object_is_left_never_names_it(root, put, monkeypatch):
    image = put("a b.jpg")
    record, said = request(root, image), f"S3 could not be reached (http://localhost{image.parent}/a%20b.jpg)"

    def fails(uri):
        raise PlatformFault(f"{uri}: {said}")

    monkeypatch.setattr(objects, "erase", fails)
    assert image_objects.remove(root, record.id).left == ((0, "the store failed"),)


def test_a_bucket_that_fails_is_not_asked_for_each_image_and_none_waits_for_ever(root, monkeypatch):
    asked, broken = [], {f"s3://down/{number:03}.jpg" for number in range(200)}
    record = register.request(root, [*sorted(broken), "s3://up/1.jpg"], requested_by="")

    def erase(path):
        asked.append(path)
        if path in broken:
            raise PlatformFault(f"{path}: S3 answered InternalError (try again) after all retries")
        return 1

    monkeypatch.setattr(objects, "erase", erase)
    monkeypatch.setattr(objects, "uploads", lambda _: iter(()))
    first = image_objects.remove(root, record.id)
    assert (first.removed, len(first.left)) == (1, 200)
    assert len(asked) <= image_objects.REMOVERS + image_objects.MOST_FAILURES + 1
    assert {why for _, why in first.left} == {"S3 answered InternalError (try again) after all retries", image_objects.NOT_TRIED}
    broken.intersection_update(asked)  # the store works again, but for those that were asked for first
    second = image_objects.remove(root, record.id).removed
    assert second >= 201 - len(broken) - image_objects.REMOVERS  # those in hand as the broken ones, tried last, fail again
    assert image_objects.remove(root, record.id).removed == 201 - len(broken)


def test_a_links_target_that_nobody_can_look_for_counts_as_there(tmp_path, monkeypatch):
    def fails(_):
        raise PlatformFault("file:///mount/x.jpg: Input/output error")

    monkeypatch.setattr(objects, "exists", fails)
    assert image_objects.still_linked([f"file://{tmp_path}/x.jpg"]) == [f"file://{tmp_path}/x.jpg"]


def test_a_folder_of_an_images_name_is_no_object_and_stays(root, put):
    folder = Path(put("a.jpg").parent, "folder.jpg")
    folder.mkdir()
    assert image_objects.remove(root, request(root, folder).id).removed == 0
    assert folder.exists()


@pytest.mark.parametrize("length", [249, 255, 256, 5000])
def test_a_name_of_any_length_goes_or_is_none(root, tmp_path, length):
    path = tmp_path / ("x" * length)
    if length < 256:
        path.write_bytes(b"a picture")
    record = request(root, path)
    assert image_objects.remove(root, record.id).removed == int(length < 256)
    assert not os.path.exists(path)


def test_an_image_whose_folder_is_a_file_now_is_gone_already_and_holds_no_erasure_up(root, tmp_path):
    (tmp_path / "Kiwi").write_bytes(b"no folder any more")
    assert image_objects.remove(root, request(root, tmp_path / "Kiwi" / "a.jpg").id).removed == 0
    assert (tmp_path / "Kiwi").read_bytes() == b"no folder any more"


def test_what_the_store_refuses_to_look_for_was_not_put_back_which_would_name_it_again(monkeypatch):
    """S3 answers so for what is not there, where the stream may not list the bucket."""
    looks = {
        "s3://b/new.jpg": objects.TooLarge(objects.Stat("s3://b/new.jpg", "e", 9, datetime(2026, 11, 29, tzinfo=UTC))),
        "s3://b/archived.jpg": objects.Withheld("restore it", "archived"),
        "s3://b/refused.jpg": objects.Unreadable("AccessDenied"),
        "s3://b/gone.jpg": objects.Gone(),
    }
    monkeypatch.setattr(objects, "look", lambda uri, **_: looks[uri])
    assert image_objects.returned(list(looks)) == ["s3://b/new.jpg", "s3://b/archived.jpg"]
