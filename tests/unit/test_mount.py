"""A folder that is not there any more is no folder whose images are gone."""

from __future__ import annotations

import pytest

from fruitpipe import objects
from fruitpipe.errors import PlatformFault
from fruitpipe.ingest.mount import Mount
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


def test_in_s3_what_is_not_there_is_gone():
    Mount("s3://nowhere/in").check(["s3://nowhere/in/Kiwi/0.jpg"])
