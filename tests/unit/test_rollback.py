"""An older version is current again, and stays so, whatever is published, until it is released."""

import json

import pytest

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.refit import pointer, publication, rollback
from tests import versions
from tests.attempts import publish, seen_by_a_reader


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


def test_rollback_makes_an_older_version_current_and_holds_it_while_numbers_go_on(root):
    for _ in range(3):
        publish(root)
    rollback.roll_back(root, "v000001")
    assert seen_by_a_reader(root) == "v000001"
    assert publish(root) == "v000004"
    assert publication.versions(root) == ["v000001", "v000002", "v000003", "v000004"]
    assert seen_by_a_reader(root) == "v000001"


def test_a_refit_that_runs_while_a_rollback_happens_publishes_and_does_not_switch(root):
    publish(root)
    publish(root)
    assert publish(root, meanwhile=lambda: rollback.roll_back(root, "v000001")) == "v000003"
    assert publication.versions(root) == ["v000001", "v000002", "v000003"]
    assert seen_by_a_reader(root) == "v000001"


def test_after_a_release_readers_keep_their_version_until_the_next_refit(root):
    for _ in range(2):
        publish(root)
    rollback.roll_back(root, "v000001")
    assert rollback.release(root).held
    assert seen_by_a_reader(root) == "v000001"
    assert rollback.release(root).held is None
    assert publish(root) == seen_by_a_reader(root) == "v000003"


def test_a_refit_goes_on_from_what_was_published_since_the_hold_and_else_from_the_current_version(root):
    for _ in range(3):
        publish(root)
    rollback.roll_back(root, "v000001")
    assert pointer.get(root).basis == "v000001", "not from what was rolled back"
    publish(root)
    assert pointer.get(root).basis == "v000004"
    rollback.release(root)
    assert pointer.get(root).basis == "v000001"


def test_a_version_of_which_a_file_is_gone_is_not_made_the_current_one(root):
    for _ in range(3):
        versions.publish(root)
    lost = f"{publication.reduced_uri(root, 'v000001')}/part-1.parquet"
    objects.delete(lost)
    with pytest.raises(Damaged, match=rf"{lost}: is missing; readers get another version after fruitpipe rollback"):
        rollback.roll_back(root, "v000001")
    assert (publication.current(root), pointer.get(root).held) == ("v000003", None)
    assert rollback.roll_back(root, "v000002").version == "v000002"


def test_a_rollback_that_is_made_twice_holds_since_the_first(root):
    for _ in range(2):
        publish(root)
    first = rollback.roll_back(root, "v000001")
    assert rollback.roll_back(root, "v000001") == pointer.get(root)
    assert pointer.get(root).held == first.held


def test_a_pointer_without_the_newer_fields_is_not_held_and_is_switched_by_the_next_refit(root):
    publish(root)
    objects.write(pointer.uri(root), json.dumps({"version": "v000001", "versions": ["v000001"]}).encode())
    assert pointer.get(root).held is None
    publish(root)
    assert seen_by_a_reader(root) == "v000002"


def test_pruning_and_withdrawing_leave_the_hold(root):
    for _ in range(4):
        publish(root)
    rollback.roll_back(root, "v000002")
    held = pointer.get(root).held
    publication.prune(root, 1)
    assert pointer.get(root).held == held
    publication.withdraw(root, ["v000002"])
    assert (pointer.get(root).held, seen_by_a_reader(root)) == (held, "v000004")


def test_rollback_to_what_is_not_published_lists_what_is(root):
    publish(root)
    with pytest.raises(NotFound, match=r"v000009 is not a published version of .*; there are v000001"):
        rollback.roll_back(root, "v000009")
