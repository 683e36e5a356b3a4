"""What a listing of the image prefix takes for gone, for moved, or for what merely cannot be seen now."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, PlatformFault
from fruitpipe.ingest import removals
from fruitpipe.root import manifests
from fruitpipe.table import path_hashes
from tests.pictures import fill, jpeg, put
from tests.rows import empty_table, put_rows


def without(images, *names):
    for name in names:
        (images / "Kiwi" / name).unlink()


def test_a_row_whose_image_is_gone_is_named_as_removed_once(images, begin_with_rows, events):
    fill(images, 20)
    prefix = begin_with_rows()
    without(images, "0003.jpg", "0007.jpg")
    fill(images, 1, first=20)
    assert (prefix.list_once(), prefix.list_once()) == (3, 0)
    assert events() == {"created": ["0020.jpg"], "removed": ["0003.jpg", "0007.jpg"]}


def test_an_overwritten_image_is_not_taken_for_gone(images, begin_with_rows, events):
    fill(images, 20)
    prefix = begin_with_rows()
    put(images / "Kiwi" / "0003.jpg", jpeg(99))
    prefix.list_once()
    assert events() == {"created": ["0003.jpg"]}


def test_more_than_a_tenth_at_once_is_not_taken_for_gone_unless_that_is_allowed(images, begin_with_rows, events, capsys):
    fill(images, 20)
    prefix, allowed = begin_with_rows(), begin_with_rows(allow_removals=True)
    without(images, "0000.jpg", "0001.jpg", "0002.jpg")
    assert (prefix.list_once(), prefix.list_once()) == (0, 0)
    said = "3 of 20 images are not there any more: more than a tenth, so their rows stay. Check --images, or say --allow-removals"
    assert capsys.readouterr().out.splitlines() == [f"ingest: file://{images}: {said}"]
    assert allowed.list_once() == 3
    assert events() == {"removed": ["0000.jpg", "0001.jpg", "0002.jpg"]}


def test_rows_that_stay_are_decided_on_again_when_some_images_are_back(images, begin_with_rows, events, monkeypatch):
    monkeypatch.setattr(removals, "REST", 0)
    fill(images, 20)
    prefix = begin_with_rows()
    away = [images / "Kiwi" / f"000{number}.jpg" for number in range(3)]
    for path in away:
        path.rename(images.with_name(path.name))
    prefix.list_once()
    for path in away[1:]:
        images.with_name(path.name).rename(path)
    prefix.list_once()
    assert events()["removed"] == ["0000.jpg"]


def test_a_renamed_label_folder_counts_as_moved_and_not_as_a_loss(images, begin_with_rows, events, root):
    fill(images, 10)
    fill(images, 10, label="Lemon", first=10)
    prefix = begin_with_rows()
    (images / "Lemon").rename(images / "Citron")
    assert prefix.list_once() == 20
    moved = [f"00{number}.jpg" for number in range(10, 20)]
    assert events() == {"created": moved, "removed": moved}
    (manifest,) = objects.list_all(f"{root}/events")
    lines = [manifests.parse_line(line) for line in objects.read(manifest.path).decode().splitlines()]
    names_in_order = [objects.name(event.path) for event in lines]
    assert all(names_in_order.count(name) == 2 for name in moved)
    lengths = [(images / "Citron" / name).stat().st_size for name in names_in_order]
    assert lengths == sorted(lengths)  # so that a batch, and a chunk, has both


def test_that_rows_stay_can_be_asked_for_and_is_said_once(images, begin_with_rows, events, capsys):
    fill(images, 20)
    prefix = begin_with_rows(keep_removed=True)
    without(images, "0003.jpg")
    assert (prefix.list_once(), prefix.list_once(), events()) == (0, 0, {})
    said = "1 of 20 images are not there any more; their rows stay, as --keep-removed asks"
    assert capsys.readouterr().out.splitlines() == [f"ingest: file://{images}: {said}"]


def test_rows_that_stay_cost_the_next_listings_nothing(images, begin_with_rows, monkeypatch):
    monkeypatch.setattr(removals, "REST", 0)
    fill(images, 20)
    prefix, looked = begin_with_rows(keep_removed=True), []
    without(images, "0003.jpg")
    prefix.list_once()
    monkeypatch.setattr(removals.waiting_manifests, "unread", lambda *_: looked.append("a list of all manifests") or [])
    assert (prefix.list_once(), looked) == (0, [])


def test_where_nothing_is_listed_nothing_is_gone_whatever_is_allowed(images, begin_with_rows, events, capsys):
    fill(images, 3)
    prefix = begin_with_rows(allow_removals=True)
    images.rename(images.with_name("unmounted"))
    assert (prefix.list_once(), prefix.list_once(), events()) == (0, 0, {})
    said = "nothing is listed any more, so the rows of 3 images stay. Mount it again and start again"
    assert capsys.readouterr().out.splitlines() == [f"ingest: file://{images}: {said}"]
    images.with_name("unmounted").rename(images)
    assert prefix.list_once() == 0


def test_where_another_file_system_is_nothing_is_gone_whatever_is_allowed(images, begin_with_rows, events, monkeypatch):
    fill(images, 3)
    prefix = begin_with_rows(allow_removals=True)
    without(images, "0000.jpg")
    monkeypatch.setattr(objects, "device", lambda _: 1)
    assert (prefix.list_once(), events()) == (0, {})


def test_rows_stay_of_images_on_a_file_system_below_that_is_away_and_others_go(
    images, begin_with_rows, events, monkeypatch, capsys
):
    fill(images, 20)
    fill(images, 1, "camera", first=20)
    camera, away = f"file://{images}/camera", []
    monkeypatch.setattr(objects, "mounts_below", lambda _: [camera])
    monkeypatch.setattr(objects, "device", lambda uri: 1 if uri in away else 2)
    prefix = begin_with_rows()
    away.append(camera)
    (images / "camera" / "0020.jpg").unlink()
    without(images, "0003.jpg")
    assert (prefix.list_once(), prefix.list_once()) == (1, 0)
    assert events() == {"removed": ["0003.jpg"]}
    assert capsys.readouterr().out.splitlines() == [
        f"ingest: {camera} is another file system than at the start, so rows of its images stay. Mount it again"
    ]


def test_rows_elsewhere_and_of_other_names_are_not_taken_for_gone(images, root, begin, events):
    fill(images, 20)
    there = list(objects.list_all(f"file://{images}"))
    empty_table(root)
    elsewhere = [f"file://{images}-2/Kiwi/0.jpg", f"file://{images}/Kiwi/0.tiff", "s3://fruits/in/0.jpg"]
    put_rows(root, [*there, *(replace(there[0], path=path) for path in elsewhere)])
    prefix = begin(path_hashes.of_rows(root, f"file://{images}").below())
    without(images, "0004.jpg")
    prefix.list_once()
    assert events() == {"removed": ["0004.jpg"]}


def denied(folder, code=errno.EACCES):
    """What os.scandir does where `folder` may not be read; who runs the tests may read everything."""

    def scandir(path=".", scandir=os.scandir):
        if os.fspath(path) == str(folder):
            raise OSError(code, os.strerror(code), str(folder))
        return scandir(path)

    return scandir


def test_a_folder_that_may_not_be_read_is_skipped_said_once_and_not_taken_for_gone(
    images, begin_with_rows, events, monkeypatch, capsys
):
    fill(images, 20)
    fill(images, 2, label="lost+found", first=20)
    prefix = begin_with_rows(allow_removals=True)
    without(images, "0003.jpg")
    fill(images, 1, first=22)
    monkeypatch.setattr(os, "scandir", denied(images / "lost+found"))
    assert (prefix.list_once(), prefix.list_once()) == (2, 0)
    assert events() == {"created": ["0022.jpg"], "removed": ["0003.jpg"]}
    said = "may not be read and is skipped; rows of images there stay. Grant access, or check the disk"
    assert capsys.readouterr().err.splitlines() == [f"file://{images}/lost+found: {said}"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.EUCLEAN])
def test_a_link_into_a_folder_that_may_not_be_searched_is_skipped_and_hides_nothing_else(
    images, begin_with_rows, events, monkeypatch, capsys, code
):
    fill(images, 20)
    prefix = begin_with_rows(allow_removals=True)
    link, stat = images / "Kiwi" / "0003.jpg", Path.stat
    link.unlink()
    link.symlink_to(images.parent / "shut" / "0003.jpg")

    def refused(path, **options):
        if path == link and not options:
            raise OSError(code, os.strerror(code), str(link))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    fill(images, 1, first=20)
    assert (prefix.list_once(), prefix.list_once()) == (1, 0)
    assert events() == {"created": ["0020.jpg"]}
    assert capsys.readouterr().err.startswith(f"file://{link}: may not be read and is skipped; rows of images there stay")


def test_a_folder_whose_names_alone_may_be_read_is_skipped_as_a_whole(images, begin_with_rows, events, monkeypatch, capsys):
    fill(images, 20)
    fill(images, 2, label="Names", first=20)
    prefix = begin_with_rows(allow_removals=True)
    stat = Path.stat

    def refused(path, **options):
        if path.parent == images / "Names":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(Path, "lstat", refused)
    assert (prefix.list_once(), events()) == (0, {})
    assert [line.partition(": ")[0] for line in capsys.readouterr().err.splitlines()] == [f"file://{images}/Names"]


def test_a_broken_folder_is_skipped_and_a_mount_that_is_away_is_not(images, begin_with_rows, events, monkeypatch):
    fill(images, 20)
    fill(images, 2, label="lost+found", first=20)
    prefix = begin_with_rows(allow_removals=True)
    monkeypatch.setattr(os, "scandir", denied(images / "lost+found", errno.EUCLEAN))
    assert (prefix.list_once(), events()) == (0, {})
    monkeypatch.undo()
    monkeypatch.setattr(os, "scandir", denied(images / "lost+found", errno.ESTALE))
    with pytest.raises(PlatformFault, match="fix the disk or the mount"):
        prefix.list_once()


def test_a_prefix_that_may_not_be_read_itself_is_refused(images, begin, monkeypatch):
    fill(images, 1)
    monkeypatch.setattr(os, "scandir", denied(images))
    with pytest.raises(AccessDenied, match=r"Permission denied; grant access"):
        begin().list_once()


def test_what_a_batch_found_gone_is_named_when_it_is_back_unchanged(images, begin_with_rows, named):
    uris = fill(images, 20)
    prefix = begin_with_rows()
    assert prefix.list_once() == 0
    prefix.found_gone(uris[:3])  # a mount went away for a moment, in which a batch looked there
    assert (prefix.list_once(), prefix.list_once()) == (3, 0)
    assert named()[0] == ["0000.jpg", "0001.jpg", "0002.jpg"]


def test_what_a_batch_found_gone_is_remembered_beyond_a_listing_that_is_stopped(images, begin_with_rows, named):
    uris = fill(images, 5)
    prefix = begin_with_rows()
    prefix.list_once()
    prefix.found_gone(uris[:1])
    assert prefix.list_once(lambda: False) == 0
    assert prefix.list_once() == 1
    assert named()[0] == ["0000.jpg"]


def test_what_was_named_as_removed_is_named_when_it_is_back_unchanged(images, begin_with_rows):
    fill(images, 20)
    fill(images, 1, label="Lemon", first=20)
    prefix = begin_with_rows()
    (images / "Lemon").rename(images.with_name("Lemon"))
    assert prefix.list_once() == 1
    images.with_name("Lemon").rename(images / "Lemon")  # the files in it keep their times
    assert prefix.list_once() == 1


def test_a_row_that_comes_after_its_image_has_gone_is_taken_out(images, root, begin_with_rows, events, monkeypatch):
    """A batch looked at the image while it was there, and commits its row when the listing lacks it already."""
    monkeypatch.setattr(removals, "REST", 0)
    fill(images, 20)
    prefix = begin_with_rows()
    fill(images, 1, first=20)
    assert prefix.list_once() == 1
    (late,) = [stat for stat in objects.list_all(f"file://{images}") if objects.name(stat.path) == "0020.jpg"]
    without(images, "0020.jpg")
    assert prefix.list_once() == 0
    put_rows(root, [late], version=2)
    (manifest,) = objects.list_all(f"{root}/events")
    log = {"path": manifest.path, "timestamp": 0, "batchId": 0}
    objects.write(f"{root}/checkpoints/ingest/sources/0/0", f"v1\n{json.dumps(log)}".encode())
    objects.write(f"{root}/checkpoints/ingest/offsets/0", b'v1\n{}\n{"logOffset": 0}')
    objects.write(f"{root}/checkpoints/ingest/commits/0", b"v1\n{}")
    assert (prefix.list_once(), prefix.list_once()) == (1, 0)
    assert events()["removed"] == ["0020.jpg"]


def test_while_manifests_wait_the_table_is_read_once_for_what_is_missing(images, begin_with_rows, monkeypatch):
    monkeypatch.setattr(removals, "REST", 0)
    fill(images, 20)
    prefix = begin_with_rows()
    fill(images, 1, first=20)
    prefix.list_once()
    without(images, "0020.jpg")
    read, rows_of = [], path_hashes.rows_of
    monkeypatch.setattr(path_hashes, "rows_of", lambda *given: read.append(given) or rows_of(*given))
    for _ in range(3):
        prefix.list_once()
    assert len(read) == 1
