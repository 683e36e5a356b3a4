"""A root's drive is tried out before anything is written to it."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.errors import PlatformFault


def refuses(*_, **__):
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def does_nothing(*_, **__):
    """As a drive does that takes an order and does not obey it."""


@pytest.mark.parametrize(
    ("where", "name", "stand_in", "said"),
    [
        (fcntl, "flock", refuses, r"this drive does not lock files \(Operation not supported\); give a --root on"),
        (fcntl, "flock", does_nothing, r"does not lock files \(two have one lock at a time\)"),
        (Path, "replace", refuses, r"does not replace a file by another \(Operation not supported\)"),
        (Path, "replace", does_nothing, r"does not replace a file by another \(the old bytes are read\)"),
        (Path, "chmod", refuses, r"does not let a file's mode be changed \(Operation not supported\)"),
    ],
)
def test_a_drive_that_obeys_only_half_is_refused_in_a_line_and_left_as_it_was(tmp_path, monkeypatch, where, name, stand_in, said):
    (tmp_path / "old").mkdir()
    monkeypatch.setattr(where, name, stand_in)
    for root in ("new/root", "old"):
        with pytest.raises(PlatformFault, match=said):
            objects.check_drive(f"file://{tmp_path}/{root}")
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


def test_all_that_a_drive_does_not_do_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", refuses)
    monkeypatch.setattr(Path, "chmod", refuses)
    with pytest.raises(PlatformFault, match=r"does not lock files \(.*\), nor let a file's mode be changed \(.*\);"):
        objects.check_drive(f"file://{tmp_path}")


def test_a_sound_drive_is_left_as_it_was_and_a_bucket_is_not_asked(tmp_path):
    objects.check_drive(f"file://{tmp_path}/new/root")
    objects.check_drive("s3://bucket/root")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "root"]


def test_a_drive_without_hard_links_is_told_apart_and_left_as_it_was(tmp_path, monkeypatch):
    assert objects.takes_links(f"file://{tmp_path}")
    assert objects.takes_links("s3://bucket/root")
    monkeypatch.setattr(Path, "hardlink_to", refuses)
    assert not objects.takes_links(f"file://{tmp_path}")
    assert list(tmp_path.iterdir()) == []
