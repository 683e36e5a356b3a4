"""Readers always get one whole version, whoever writes or fails meanwhile."""

import json

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.errors import Conflict, NotFound, WrongRoot
from fruitpipe.jobs import refit
from fruitpipe.refit import pointer, publication, rollback, version_model
from tests.attempts import folders, model, publish, seen_by_a_reader, write
from tests.versions import ROWS


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


def fail_after(root, work):
    with publication.attempt(root) as version:
        work(version)
        raise ZeroDivisionError


def test_versions_are_numbered_from_one_and_the_last_is_current(root):
    assert publication.versions(root) == []
    assert [publish(root) for _ in range(3)] == ["v000001", "v000002", "v000003"]
    assert publication.versions(root) == ["v000001", "v000002", "v000003"]
    assert seen_by_a_reader(root) == "v000003"


def test_the_pointer_names_the_folders_of_its_version(root):
    publish(root)
    content = json.loads(objects.read(pointer.uri(root)))
    assert content["version"] == "v000001"
    assert content["reduced"] == "reduced/v000001"
    assert content["model"] == "models/v000001"


def test_reading_before_anything_is_published_says_what_to_run(root):
    for read in (publication.current, publication.load_reduction, lambda root: publication.read_reduced(None, root)):
        with pytest.raises(NotFound, match=r"no reduced features are published yet; run fruitpipe refit"):
            read(root)


def test_a_reduction_comes_back_as_it_was_saved_and_transforms(root):
    publish(root)
    loaded = publication.load_reduction(root)
    np.testing.assert_array_equal(loaded.transform(ROWS), model().reduction.transform(ROWS))
    summary = version_model.load_model(root, "v000001").summary
    assert summary.labels == ("Kiwi", "Lemon")
    np.testing.assert_array_equal(summary.moments.m2, model().summary.moments.m2)


def test_a_model_has_its_three_files(root):
    publish(root)
    files = objects.children(version_model.model_uri(root, "v000001"))
    assert {"reduction.npz", "reduction.json", "explained_variance.csv"} <= set(files)
    with np.load(f"{root.removeprefix('file://')}/models/v000001/reduction.npz") as arrays:
        assert arrays["components"].shape == (3, 6)
        assert {"mean", "scale", "explained_variance_ratio", "moments_m2"} <= set(arrays.files)


def test_a_failed_attempt_leaves_nothing_and_the_current_version_stays(root):
    publish(root)
    before = folders(root)
    with pytest.raises(ZeroDivisionError):
        fail_after(root, lambda version: write(root, version))
    assert folders(root) == before
    assert seen_by_a_reader(root) == "v000001"


def test_an_attempt_that_publishes_nothing_leaves_nothing(root):
    publish(root)
    before = folders(root)
    with publication.attempt(root):
        pass
    assert folders(root) == before


def test_two_runs_that_begin_at_the_same_moment_take_different_numbers(root):
    with publication.attempt(root) as first, publication.attempt(root) as second:
        assert (first, second) == ("v000001", "v000002")


def test_a_claim_that_was_taken_between_listing_and_writing_is_skipped(root, monkeypatch):
    publication.claim(root)
    monkeypatch.setattr(publication, "_folders", lambda _: set())
    assert publication.claim(root) == "v000002"


def test_a_run_that_began_earlier_never_replaces_a_later_one(root):
    with pytest.raises(Conflict, match="v000001 is not published: v000002 began later"):
        publish(root, meanwhile=lambda: publish(root))
    assert publication.versions(root) == ["v000002"]
    assert folders(root)[0] == ["v000002/"]


def test_an_overtaken_run_that_fails_is_told_that_it_was_overtaken(root):
    with pytest.raises(Conflict, match="v000002 began later"):
        fail_after(root, lambda _: publish(root))


def test_a_later_run_replaces_one_that_was_published_since_it_began(root):
    with publication.attempt(root) as earlier, publication.attempt(root) as later:
        for version in (earlier, later):
            write(root, version)
            publication.switch(root, version)
    assert publication.versions(root) == ["v000001", "v000002"]
    assert seen_by_a_reader(root) == "v000002"


def test_a_switch_whose_answer_was_lost_is_not_undone(root, monkeypatch):
    write_object = objects.write

    def write_and_lose_the_answer(uri, body, **condition):
        etag = write_object(uri, body, **condition)
        if uri == pointer.uri(root):
            monkeypatch.setattr(objects, "write", write_object)
            raise Conflict("the answer was lost and the second attempt met the first")
        return etag

    monkeypatch.setattr(objects, "write", write_and_lose_the_answer)
    publish(root)
    assert publication.versions(root) == ["v000001"]
    assert seen_by_a_reader(root) == "v000001"


def test_a_pointer_that_changes_all_the_time_is_given_up_with_a_reason(root, monkeypatch):
    publish(root)

    def always_late(*_, **__):
        raise Conflict("changed")

    monkeypatch.setattr(objects, "write", always_late)
    with pytest.raises(Conflict, match="run one writer at a time"):
        publication.switch(root, "v000002")


def test_a_refit_that_finds_nothing_to_publish_leaves_a_sign_and_readers_their_version(root):
    publish(root)
    before = pointer.get(root)
    publication.confirm(root, "v000001", 7)
    after = pointer.get(root)
    assert after.checked_at > before.switched_at
    assert (after.version, after.versions, after.switched_at) == (before.version, before.versions, before.switched_at)


def test_a_refit_goes_on_from_where_the_last_one_found_nothing_changed(root):
    """The change feed before that may be removed by now, and without it all rows are read, and a version is published."""
    for _ in range(2):
        with publication.attempt(root) as version:
            version_model.save_model(root, version, model(version=version, features_version=3))
            publication.switch(root, version)
    assert refit._previous(root, pointer.get(root)).facts["features_version"] == 3
    for seen in (5, 9):
        publication.confirm(root, "v000002", seen)
        assert refit._previous(root, pointer.get(root)).facts["features_version"] == seen
    rollback.roll_back(root, "v000001")
    previous = refit._previous(root, pointer.get(root))
    assert (previous.facts["version"], previous.facts["features_version"]) == ("v000001", 3), "of it nobody knows more"


def test_a_pointer_that_is_something_else_is_not_overwritten(root):
    objects.write(pointer.uri(root), b"[1, 2")
    with pytest.raises(WrongRoot, match=r"latest\.json: is no pointer of fruitpipe's; give a --root of its own"):
        publish(root)
    assert objects.read(pointer.uri(root)) == b"[1, 2"
