"""Versions that nobody is to read any more are removed, and what killed runs left of theirs."""

import json
import multiprocessing
import os
import signal

import pytest

from fruitpipe import objects
from fruitpipe.errors import NotFound, WrongUsage
from fruitpipe.objects import local
from fruitpipe.refit import pointer, publication, rollback
from tests.attempts import folders, publish, seen_by_a_reader, write


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


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


def test_a_version_that_was_withdrawn_stays_for_who_reads_it_until_it_is_discarded(root):
    """As the erasure that withdrew it does, once its readers' grace is over; a refit may end before."""
    for _ in range(2):
        publish(root)
    publication.withdraw(root, ["v000001"])
    publish(root)
    assert publication.sweep(root) == []
    assert publication.unpublished(root) == ["v000001"]
    publication.discard(root, "v000001")
    assert folders(root)[0] == ["v000002/", "v000003/"]


def meanwhile(monkeypatch, root, work):
    """Has another run do its `work` when the pointer was read, just before it is written."""
    write, waiting = objects.write, [work]

    def after_it(uri, *given, **condition):
        if uri == pointer.uri(root) and waiting:
            waiting.pop()()
        return write(uri, *given, **condition)

    monkeypatch.setattr(objects, "write", after_it)


def test_a_version_that_is_published_while_all_others_are_withdrawn_is_the_current_one(root, monkeypatch):
    publish(root)
    meanwhile(monkeypatch, root, lambda: publish(root))
    publication.withdraw(root, ["v000001"])
    assert publication.versions(root) == ["v000002"]
    assert seen_by_a_reader(root) == "v000002"


def test_where_all_versions_are_withdrawn_nothing_is_published_until_the_next_refit(root):
    for _ in range(2):
        publish(root)
    rollback.roll_back(root, "v000001")
    publication.withdraw(root, ["v000001", "v000002"])
    publication.withdraw(root, ["v000001", "v000002"])  # as an erasure that was killed begins again
    assert (pointer.find(root), publication.versions(root)) == (None, [])
    for reads in (publication.current, pointer.get, rollback.release, publication.load_reduction):
        with pytest.raises(NotFound, match="no reduced features are published yet"):
            reads(root)
    assert json.loads(objects.read(pointer.uri(root))) == {"version": None, "newest": "v000002"}
    assert publication.withdrawn(root) == ["v000001", "v000002"]
    publish(root)
    assert (publication.versions(root), seen_by_a_reader(root), pointer.get(root).held) == (["v000003"], "v000003", None)


def test_no_later_version_takes_the_number_of_one_that_was_withdrawn_and_removed(root):
    for _ in range(2):
        publish(root)
    publication.withdraw(root, ["v000001", "v000002"])
    for version in publication.withdrawn(root):
        publication.discard(root, version)
    assert publication.unpublished(root) == []
    publish(root)
    assert publication.versions(root) == ["v000003"]


def test_the_number_of_the_newest_version_is_not_given_again_where_an_erasure_withdrew_that_one_alone(root):
    """As during a rollback to one that does not hold the image: copies elsewhere are told from later versions by the name."""
    for _ in range(2):
        publish(root)
    rollback.roll_back(root, "v000001")
    publication.withdraw(root, ["v000002"])
    publication.discard(root, "v000002")
    publication.confirm(root, "v000001", 7)
    publish(root)
    assert publication.versions(root) == ["v000001", "v000003"]
    assert pointer.get(root).basis == "v000003"


CHANGES = {
    "release": rollback.release,
    "prune": lambda root: publication.prune(root, 1),
    "confirm": lambda root: publication.confirm(root, "v000002", 7),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_versions_that_are_withdrawn_while_the_pointer_changes_are_not_published_again_nor_removed(root, monkeypatch, change):
    for _ in range(2):
        publish(root)
    rollback.roll_back(root, "v000002")
    before = folders(root)[1]
    meanwhile(monkeypatch, root, lambda: publication.withdraw(root, ["v000001", "v000002"]))
    change(root)
    assert publication.versions(root) == []
    assert folders(root)[1] == before


def test_what_a_killed_writer_of_the_pointer_had_begun_is_hidden_and_removed_by_the_next(root):
    publish(root)
    begun = objects.join(root, "reduced", ".latest.json.0123")
    objects.write(begun, b"{")
    assert seen_by_a_reader(root) == "v000001"
    publish(root)
    assert not objects.exists(begun)
    assert seen_by_a_reader(root) == "v000002"


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
