"""Readers always get one whole version, whoever writes, fails or is killed meanwhile."""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.errors import Conflict, NotFound, WrongRoot, WrongUsage
from fruitpipe.jobs import refit
from fruitpipe.objects import local
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import pointer, publication, rollback, version_model
from fruitpipe.refit.version_model import Model

ROWS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


def model(**facts):
    labels = np.array(["Kiwi", "Lemon"] * 15, object)
    summary = Summary.of(ROWS, labels, np.array([f"file:///{number}.jpg" for number in range(30)], object))
    return Model(fit(summary.moments, components=3), summary, facts)


def write(root, version):
    objects.write(objects.join(publication.reduced_uri(root, version), "part-0.parquet"), version.encode())
    version_model.save_model(root, version, model(version=version))


def publish(root, meanwhile=lambda: None):
    with publication.attempt(root) as version:
        write(root, version)
        meanwhile()
        publication.switch(root, version)
    return version


def fail_after(root, work):
    with publication.attempt(root) as version:
        work(version)
        raise ZeroDivisionError


def seen_by_a_reader(root):
    """The current version, if it is whole: its data and its model name the same version."""
    version = publication.current(root)
    assert objects.read(objects.join(publication.reduced_uri(root, version), "part-0.parquet")).decode() == version
    assert version_model.load_model(root, version).facts["version"] == version
    return version


def folders(root):
    return [objects.children(objects.join(root, kind)) for kind in ("models", "reduced")]


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


def test_rollback_to_what_is_not_published_lists_what_is(root):
    publish(root)
    with pytest.raises(NotFound, match=r"v000009 is not a published version of .*; there are v000001"):
        rollback.roll_back(root, "v000009")


def test_prune_keeps_the_newest_versions(root):
    for _ in range(4):
        publish(root)
    assert publication.prune(root, 2) == ["v000001", "v000002"]
    assert publication.versions(root) == ["v000003", "v000004"]
    assert folders(root)[0] == ["v000003/", "v000004/"]


def test_prune_never_removes_the_current_version(root):
    for _ in range(4):
        publish(root)
    rollback.roll_back(root, "v000002")
    assert publication.prune(root, 1) == ["v000001", "v000003"]
    assert seen_by_a_reader(root) == "v000002"


@pytest.mark.parametrize("keep", [0, -1])
def test_keeping_no_version_is_refused(root, keep):
    with pytest.raises(WrongUsage, match=f"keep {keep}: at least 1"):
        publication.prune(root, keep)


def test_sweep_removes_what_a_killed_run_left_but_nothing_of_a_run_at_work(root):
    killed = publication.claim(root)
    write(root, killed)
    publish(root)
    at_work = publication.claim(root)
    write(root, at_work)
    objects.write(objects.join(root, "models", "notes.txt"), b"somebody's")
    assert publication.sweep(root) == [killed]
    assert folders(root)[0] == ["notes.txt", "v000002/", "v000003/"]
    publication.switch(root, at_work)
    assert seen_by_a_reader(root) == at_work


def test_a_folder_that_a_run_at_work_writes_into_meanwhile_does_not_fail_the_sweep(root, monkeypatch):
    publication.claim(root)
    publish(root)
    late = objects.join(publication.reduced_uri(root, "v000001"), "part-0.parquet")
    objects.write(late, b"begun")
    delete = local.delete

    def and_another_one_comes(uri):
        delete(uri)
        if uri == late:
            local.write(objects.join(publication.reduced_uri(root, "v000001"), "part-1.parquet"), b"late", False, None)

    monkeypatch.setattr(local, "delete", and_another_one_comes)
    assert publication.sweep(root) == ["v000001"]
    monkeypatch.setattr(local, "delete", delete)
    assert publication.sweep(root) == ["v000001"], "what came too late is the next run's to remove"
    assert folders(root) == [["v000002/"], [".latest.json.lock", "latest.json", "v000002/"]]


def test_what_a_killed_writer_of_the_pointer_had_begun_is_hidden_and_removed_by_the_next(root):
    publish(root)
    begun = objects.join(root, "reduced", ".latest.json.0123")
    objects.write(begun, b"{")
    assert seen_by_a_reader(root) == "v000001"
    publish(root)
    assert not objects.exists(begun)
    assert seen_by_a_reader(root) == "v000002"


def test_a_pointer_that_is_something_else_is_not_overwritten(root):
    objects.write(pointer.uri(root), b"[1, 2")
    with pytest.raises(WrongRoot, match=r"latest\.json: is no pointer of fruitpipe's \(5 bytes\)"):
        publish(root)
    assert objects.read(pointer.uri(root)) == b"[1, 2"


def kill_at(step, root):
    """A run that is killed with signal 9 before its write or delete number `step`; it ends by itself if there are fewer."""
    left = iter(range(step))

    def counted(verb):
        def call(*args, **condition):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return verb(*args, **condition)

        return call

    for verb in ("write", "delete", "delete_all"):
        setattr(objects, verb, counted(getattr(objects, verb)))
    publish(root)
    publication.sweep(root)
    publication.prune(root, 1)


def test_a_run_that_is_killed_at_any_step_leaves_readers_a_whole_version_and_the_next_run_clears_up(root):
    publish(root)
    fork = multiprocessing.get_context("fork")
    for step in range(20):
        process = fork.Process(target=kill_at, args=(step, root))
        process.start()
        process.join()
        seen_by_a_reader(root)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        publish(root)
        publication.sweep(root)
        published = {f"{version}/" for version in publication.versions(root)}
        assert set(folders(root)[0]) == published
        assert {name for name in folders(root)[1] if name.startswith("v")} == published
    assert step > 6, "claim, data, three model files and the pointer were each a step"
