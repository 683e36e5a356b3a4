"""A folder that is not there any more is no folder whose images are gone."""

from __future__ import annotations

import pytest

from fruitpipe import objects
from fruitpipe.errors import PlatformFault
from fruitpipe.ingest.mount import Mount, OtherPrefixes
from fruitpipe.objects import mount_points
from fruitpipe.root.manifests import ImageEvent
from tests.pictures import fill


@pytest.fixture
def images(tmp_path):
    fill(tmp_path / "images", 2)
    return tmp_path / "images"


def test_an_image_that_is_gone_while_others_are_there_is_gone(images):
    Mount(f"file://{images}").check([f"file://{images}/Kiwi/9.jpg"])


@pytest.mark.parametrize("emptied", [False, True])
def test_images_of_a_folder_that_is_away_are_not_gone(images, emptied):
    mount = Mount(f"file://{images}")
    images.rename(images.with_name("unmounted"))
    if emptied:
        images.mkdir()
    gone = [f"file://{images}/Kiwi/000{number}.jpg" for number in range(2)]
    with pytest.raises(
        PlatformFault, match=r"is empty or another file system now, so 2 images .*; nothing was written. Mount it"
    ):
        mount.check(gone)
    mount.check([])
    mount.check(["file:///elsewhere/0.jpg"])


def test_images_of_a_folder_on_another_file_system_are_not_gone(images, monkeypatch):
    mount = Mount(f"file://{images}")
    monkeypatch.setattr(objects, "device", lambda _: 1)
    with pytest.raises(PlatformFault, match="another file system now"):
        mount.check([f"file://{images}/Kiwi/9.jpg"])


def test_images_of_a_file_system_below_the_folder_that_is_away_are_not_gone_and_others_are(images, monkeypatch):
    camera = f"file://{images}/cam 7"
    monkeypatch.setattr(objects, "mounts_below", lambda _: [camera])
    devices = {f"file://{images}": 1, camera: 2}
    monkeypatch.setattr(objects, "device", devices.get)
    mount = Mount(f"file://{images}")
    mount.check([f"{camera}/0.jpg", f"file://{images}/Kiwi/9.jpg"])
    devices[camera] = 1  # the folder that it was mounted on
    assert mount.away == [camera]
    mount.check([f"file://{images}/Kiwi/9.jpg"])
    with pytest.raises(PlatformFault, match="cam 7 is empty or another file system now, so 1 images"):
        mount.check([f"{camera}/0.jpg", f"file://{images}/Kiwi/9.jpg"])


def test_mount_points_are_told_as_the_kernel_writes_them(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    told = "".join(
        f"{number} 1 0:4{number} / {point} rw - tmpfs tmpfs rw\n"
        for number, point in enumerate([tmp_path, f"{tmp_path}/images", f"{tmp_path}/images/cam\\0407/a", f"{tmp_path}/images2"])
    )
    (tmp_path / "mountinfo").write_text(told)
    assert mount_points.below(f"file://{tmp_path}/link", tmp_path / "mountinfo") == [f"file://{tmp_path}/link/cam 7/a"]
    assert mount_points.below(f"file://{tmp_path}/link", tmp_path / "none") == []


def test_in_s3_what_is_not_there_is_gone():
    Mount("s3://nowhere/in").check(["s3://nowhere/in/Kiwi/0.jpg"])


@pytest.mark.parametrize("emptied", [False, True])
def test_images_below_another_prefix_that_is_away_are_not_looked_at_and_those_seen_as_removed_are(images, emptied, capsys):
    here, there = (f"file://{images.with_name(name)}" for name in ("here", "images"))
    others = OtherPrefixes("s3://b/root", (there, "s3://nowhere/in"))
    named = [ImageEvent("created", f"{folder}/Kiwi/0000.jpg") for folder in (here, there, "s3://nowhere/in")]
    named.append(ImageEvent("removed", f"{there}/Kiwi/0001.jpg"))
    assert others.within_reach(named) == named
    images.rename(images.with_name("unmounted"))
    if emptied:
        images.mkdir()
    assert others.within_reach(named) == [named[0], *named[2:]]
    assert capsys.readouterr().out == (
        f"{there} is empty or not there: 1 images are left as they are; "
        f"mount it and run fruitpipe reconcile --images {there} --root s3://b/root\n"
    )
