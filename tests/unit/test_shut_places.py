"""What another user may not read: told in a line that names it, and never taken for something that is not there."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.erasure import access, register, requested_images
from fruitpipe.erasure.request_list import Named
from fruitpipe.erasure.requested_images import Criteria
from fruitpipe.errors import AccessDenied
from fruitpipe.ingest.mount import OtherPrefixes
from fruitpipe.operations import doctor, image_checks
from fruitpipe.root import lease
from fruitpipe.root.manifests import ImageEvent
from tests.pictures import fill
from tests.rows import empty_table

NOBODY = 65534


@contextmanager
def another_user():
    """The superuser may read everything: as one, the block runs as nobody."""
    is_superuser = os.geteuid() == 0
    if is_superuser:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_superuser:
            os.seteuid(0)


@pytest.fixture
def folder():
    """A folder that everybody may enter; pytest's own are for one user."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)
        for path in Path(made).iterdir():
            path.chmod(0o755)


@pytest.fixture
def shut(folder):
    """The URI of a file in a folder that nobody may enter."""
    (folder / "shut" / "in").mkdir(parents=True)
    (folder / "shut" / "in" / "a.jpg").write_bytes(b"a")
    (folder / "shut").chmod(0)
    return f"file://{folder}/shut/in/a.jpg"


READS = [
    objects.exists,
    lambda uri: list(objects.list_all(uri)),
    objects.has_versions,
    objects.children,
    objects.device,
    objects.read,
]
CHANGES = [objects.erase, objects.delete, objects.delete_all, objects.check_drive]


@pytest.mark.parametrize("does", [*READS, *CHANGES])
def test_nobody_can_tell_what_is_in_a_folder_that_is_shut(shut, does):
    with another_user(), pytest.raises(AccessDenied, match=r"a\.jpg: Permission denied"):
        does(shut)


@pytest.mark.usefixtures("shut")
def test_a_prefix_that_holds_a_folder_that_is_shut_is_not_empty_and_the_doctor_tells_it(folder):
    with another_user():
        assert objects.exists(f"file://{folder}")
        with pytest.raises(AccessDenied, match="shut: may not be read, and nothing else is there"):
            image_checks.prefix(f"file://{folder}", f"file://{folder}/root")
    (one, two) = fill(folder, 2, "Kiwi")
    os.chmod(one.removeprefix("file://"), 0)
    with another_user():
        said = image_checks.prefix(f"file://{folder}", f"file://{folder}/root")
    assert objects.name(two) in said
    assert "refused: " in said


def test_the_doctor_names_an_image_where_it_is_given_none_of_those_that_it_looks_at(folder):
    for uri in fill(folder, 2):
        os.chmod(uri.removeprefix("file://"), 0)
    with another_user(), pytest.raises(AccessDenied, match=r"\.jpg: Permission denied; grant read on the images"):
        image_checks.prefix(f"file://{folder}", f"file://{folder}/root")


def test_an_image_in_an_archive_shows_that_no_right_is_lacking(folder, monkeypatch):
    (image,) = fill(folder, 1)
    archived, look = {image: objects.Withheld("InvalidObjectState", "archived")}, objects.look
    monkeypatch.setattr(objects, "look", lambda uri, **given: archived.get(uri) or look(uri, **given))
    assert "list and read (0000.jpg)" in image_checks.prefix(f"file://{folder}", f"file://{folder}/root")


def test_a_writers_record_that_may_not_be_read_is_not_taken_for_a_root_without_a_stream(folder, monkeypatch):
    with lease.held(f"file://{folder}"):
        pass
    (folder / "writer.json").chmod(0)
    targets = doctor.Targets(f"file://{folder}", None, "", "any")
    with another_user():
        with pytest.raises(AccessDenied, match=r"writer\.json: Permission denied; grant access to it"):
            doctor.check_stream(targets)
        with pytest.raises(AccessDenied, match=r"writer\.json: Permission denied"), lease.held(targets.root):
            pass
    monkeypatch.setattr(objects, "look", lambda _: objects.Unreadable("AccessDenied: not yours"))
    with pytest.raises(AccessDenied, match=r"s3://fruit/root/writer\.json: AccessDenied: not yours"):
        lease.holder("s3://fruit/root")


def test_images_below_another_prefix_that_is_shut_do_not_end_the_stream(folder, shut):
    named = [ImageEvent("created", shut)]
    with another_user():
        assert OtherPrefixes(f"file://{folder}/root", (f"file://{folder}/shut",)).within_reach(named) == named


def test_an_image_that_nobody_can_tell_of_is_not_called_unknown_and_its_erasure_is_not_recorded(folder, shut):
    root = f"file://{folder}/root"
    empty_table(root)
    with another_user():
        with pytest.raises(AccessDenied, match=r"a\.jpg: Permission denied"):
            requested_images.select(root, Criteria([Named(shut)]))
        assert access.show(root, shut)["object"].startswith(f"unknown: {shut}: Permission denied")
    assert register.every(root) == []
