"""Upkeep beside the batches: what waits for it, and its own record."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, PlatformFault
from fruitpipe.ingest import checkpoint_renewal, root_upkeep
from fruitpipe.ingest.root_upkeep import RootUpkeep
from fruitpipe.root import layout
from fruitpipe.settings import IngestSettings


@pytest.fixture
def upkeep(tmp_path):
    return RootUpkeep(None, IngestSettings(images=str(tmp_path), root=f"file://{tmp_path}/root", clear_hours=0), lambda: None)


def test_an_erasure_waits_for_what_is_cleared_away_beside_the_batches(upkeep, monkeypatch):
    goes_on, done = threading.Event(), []
    monkeypatch.setattr(root_upkeep, "clear", lambda *_: (goes_on.wait() and done.append("cleared")) or "nothing")
    upkeep.step(0)
    assert done == []
    threading.Timer(0.1, goes_on.set).start()
    upkeep.wait()
    assert done == ["cleared"]


def test_what_the_clearing_met_is_raised_to_who_waits(upkeep, monkeypatch):
    def clear(*_):
        raise PlatformFault("a disk is full")

    monkeypatch.setattr(root_upkeep, "clear", clear)
    upkeep.step(0)
    with pytest.raises(PlatformFault, match="a disk is full"):
        upkeep.wait()


@pytest.mark.parametrize("body", [b"", b'{"cleared_at": "2026-', b"{}", b"[]", b'{"cleared_at": "yesterday"}'])
def test_a_record_that_was_cut_is_as_good_as_none(tmp_path, body):
    root = f"file://{tmp_path}/root"
    objects.write(layout.place(root, layout.CLEARED), body)
    assert root_upkeep.last_cleared(root) is None


@pytest.mark.parametrize(("hours", "times"), [(0, 1), (24, 0)])
def test_with_no_hours_between_two_clearings_a_run_clears_once(tmp_path, monkeypatch, hours, times):
    cleared = []
    monkeypatch.setattr(root_upkeep, "clear", lambda *_: cleared.append(1) or "nothing")
    settings = IngestSettings(images="/images", root=str(tmp_path), clear_hours=hours, compact_commits=0)
    keeper = RootUpkeep(None, settings, lambda: None)
    for commits in range(5):
        keeper.step(commits)
        if keeper._clearing:
            keeper._clearing.join()
    keeper.finish(5)
    assert len(cleared) == times


@pytest.mark.parametrize(("days", "stay", "in_vain"), [(0, 0, 3), (1, 2, 1)])
def test_manifests_that_are_to_stay_have_no_checkpoint_begun_anew_which_would_read_them_again(
    tmp_path, monkeypatch, days, stay, in_vain
):
    root = f"file://{tmp_path}/root"
    there = [f"{root}/events/2026/11/29/{name}.jsonl" for name in "ab"]
    for uri in (*there, f"{root}/checkpoints/ingest/metadata"):
        objects.write(uri, b"{}")
    gone = f"{root}/events/2026/11/28/c.jsonl"
    monkeypatch.setattr(root_upkeep.checkpoint, "manifests_read", lambda _: {*there, gone})
    removed, named = root_upkeep.clear_manifests(IngestSettings(images="/images", root=root, manifest_days=days))
    assert (removed, named) == (2 - stay, in_vain)
    assert sum(map(objects.exists, there)) == stay


def test_files_that_a_killed_process_never_finished_go_after_a_day_and_no_others(tmp_path, monkeypatch):
    for of_the_table in ("vacuum", "clear_log"):
        monkeypatch.setattr(root_upkeep.upkeep, of_the_table, lambda *_: None)
    unfinished = f".a.jsonl.{'0123456789abcdef' * 2}"
    names = [f"{place}/{name}" for place in ("events/2026/11/29", "stale") for name in (unfinished, "a.jsonl")]
    for name in (*names, "checkpoints/ingest/.12.tmp"):
        objects.write(f"file://{tmp_path}/{name}", b"{")
    settings = IngestSettings(images="/images", root=str(tmp_path))
    assert ", 0 leftovers" in root_upkeep.clear(None, settings, datetime.now(UTC))
    for name in (*names, "checkpoints/ingest/.12.tmp"):
        os.utime(tmp_path / name, (0, 0))
    assert ", 3 leftovers" in root_upkeep.clear(None, settings, datetime.now(UTC))
    assert [name for name in names if objects.exists(f"file://{tmp_path}/{name}")] == names[1::2]


@pytest.mark.parametrize(("hours_ago", "is_due"), [(25, True), (23, False), (-1, False), (-25, True)])
def test_old_files_go_once_a_day_also_after_a_day_on_which_the_clock_was_ahead(tmp_path, hours_ago, is_due):
    root, cleared = f"file://{tmp_path}", datetime.now(UTC) - timedelta(hours=hours_ago)
    objects.write(layout.place(root, layout.CLEARED), json.dumps({"cleared_at": cleared.isoformat()}).encode())
    settings = IngestSettings(images="/images", root=root)
    assert root_upkeep.is_clearing_due(settings, root_upkeep.last_cleared(root)) is is_due


def test_a_record_by_hand_without_a_time_zone_ends_no_stream(tmp_path):
    root = f"file://{tmp_path}"
    objects.write(layout.place(root, layout.CLEARED), b'{"cleared_at": "2026-01-01T00:00:00"}')
    assert root_upkeep.is_clearing_due(IngestSettings(images="/images", root=root), root_upkeep.last_cleared(root))


def test_a_checkpoint_from_which_another_stream_may_go_on_by_now_is_not_dropped(tmp_path):
    def lost():
        raise LeaseLost("the machine slept")

    settings = IngestSettings(images="/images", root=str(tmp_path))
    theirs = f"{settings.root}/checkpoints/ingest/metadata"
    objects.write(theirs, b"{}")
    with pytest.raises(LeaseLost):
        checkpoint_renewal.renew_full(settings, RootUpkeep(None, settings, lost))
    assert objects.exists(theirs)
    checkpoint_renewal.renew_full(settings, RootUpkeep(None, settings, lambda: None))
    assert not objects.exists(theirs)
