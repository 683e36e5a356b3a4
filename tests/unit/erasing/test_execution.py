"""Which step of an erasure follows which, without the steps themselves: those are tested on Spark."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from fruitpipe import objects
from fruitpipe.erasure import register, search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.search import NOTHING, Search
from fruitpipe.erasure.steps import Request, Steps
from fruitpipe.errors import AccessDenied, LeaseLost
from fruitpipe.root import manifests
from fruitpipe.runtime.lineage import Lineage
from fruitpipe.settings import IngestSettings
from fruitpipe.table import upkeep
from tests.erasing import FUTURE, PAST, request, status
from tests.lineage_server import counts, serving

PLACES = "features", "reduced"


def test_all_pending_requests_go_through_each_step_together(root, eraser):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        request(root, name)
    carrying = eraser()
    carrying.carry_out()
    assert carrying._steps.said == [("withdraw", 3), ("remove", 3), ("look", 3)]
    assert status(root) == [("done", "nothing")] * 3
    assert register.is_settled(root)


@pytest.mark.parametrize("checks", range(4))
def test_a_stream_that_lost_its_lease_writes_no_record_over_that_of_another(root, eraser, checks):
    request(root, "a.jpg")
    carrying, left = eraser(), iter(range(checks))

    def lost():
        if next(left, None) is None:
            theirs = replace(register.every(root)[0], status="done", step="nothing")
            register.save(root, theirs)
            raise LeaseLost("the machine slept")

    carrying.before_commit = lost
    object.__setattr__(carrying._steps, "before_commit", lost)
    with pytest.raises(LeaseLost):
        carrying.carry_out()
    assert status(root) == [("done", "nothing")]


def test_files_stay_until_the_readers_grace_ends(root, eraser):
    request(root, "a.jpg")
    carrying = eraser(FUTURE)
    carrying.carry_out()
    carrying.carry_out()
    assert carrying._steps.said == [("withdraw", 1)]
    assert status(root) == [("waiting", "remove")]
    assert not carrying.is_due()


def test_what_a_search_found_is_looked_at_again_and_nothing_else(root, eraser):
    request(root, "a.jpg")
    objects.write(f"{root}/events/2026/a.jsonl", b'{"path": "file:///images/b.jpg"}\n')
    objects.write(f"{root}/stray.txt", b"file:///images/a.jpg")
    carrying = eraser()
    carrying.carry_out()
    assert status(root) == [("incomplete", "look again")]
    (record,) = register.every(root)
    assert record.remaining == [
        {"what": "stray.txt", "until": "the next attempt", "why": "it still names an image or holds its vector"}
    ]
    carrying.carry_out()
    verified = register.every(root)[0].verification
    assert verified["files"] == 1
    assert verified["whole_root"]["files"] > 1
    objects.delete(f"{root}/stray.txt")
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]
    assert [said for said, _ in carrying._steps.said] == ["withdraw", "remove", "look", "look", "look"]


def test_what_is_left_in_the_table_leads_back_to_the_beginning(root, eraser):
    request(root, "a.jpg")
    objects.write(f"{root}/features/foreign.txt", b"file:///images/a.jpg")
    carrying = eraser()
    carrying.carry_out()
    carrying.carry_out()
    assert [said for said, _ in carrying._steps.said] == ["withdraw", "remove", "look"] * 2


def test_a_picture_that_is_put_back_within_the_grace_period_is_named_to_the_stream_once_certified(root, eraser, tmp_path):
    picture = tmp_path / "Kiwi" / "a.jpg"
    picture.parent.mkdir()
    record = register.request(root, [f"file://{picture}", f"file://{picture.with_suffix('.txt')}"], requested_by="")
    waiting = eraser(FUTURE)
    waiting.carry_out()
    picture.write_bytes(b"a new picture")
    picture.with_suffix(".txt").write_bytes(b"no picture")
    put_back = manifests.ImageEvent("created", f"file://{picture}")
    assert waiting.admit([put_back]) == []
    register.save(root, replace(register.find(root, record.id), files_go_after=PAST))
    carrying = eraser()
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]
    (manifest,) = [stat.path for stat in objects.list_all(f"{root}/events")]
    (event,) = [manifests.parse_line(line) for line in objects.read(manifest).decode().splitlines()]
    assert (event.event, event.path) == ("created", f"file://{picture}")
    assert carrying.admit([event]) == [event]


@pytest.mark.parametrize("through", ["", "link"])
def test_a_manifest_cannot_have_a_file_of_the_root_erased(root, eraser, capsys, tmp_path, through):
    kept = f"{root}/features/part.parquet"
    objects.write(kept, b"rows")
    (tmp_path / "link").symlink_to(root.removeprefix("file://"))
    carrying = eraser()
    named = f"file://{tmp_path}/link/features/part.parquet" if through else kept
    assert carrying.admit([manifests.ImageEvent("erase", named)]) == []
    assert (carrying.is_due(), register.every(root)) == (False, [])
    assert "lies in the root" in capsys.readouterr().out
    assert objects.read(kept) == b"rows"


def test_the_search_goes_on_beside_the_query_and_its_end_is_due(root, eraser):
    request(root, "a.jpg")
    carrying, go_on = eraser(once=False), threading.Event()

    def look(requests, _stopped):
        go_on.wait()
        return Search(files=len(requests))

    object.__setattr__(carrying._steps, "look", look)
    carrying.carry_out()
    assert status(root) == [("searching", "search")]
    assert not carrying.is_due()
    carrying.carry_out()  # another request comes: the search is left alone
    assert status(root) == [("searching", "search")]
    go_on.set()
    carrying._searching.join()
    assert carrying.is_due()
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]
    assert not carrying.is_due()


def test_a_stream_that_stops_ends_its_search_and_the_next_one_searches_again(root, eraser, monkeypatch):
    for number in range(5):
        objects.write(f"{root}/events/2026/{number}.jsonl", b"")
    read = []
    carrying = eraser(once=False)

    def of_file(uri, _body, _traces):
        read.append(uri)
        carrying._searching._stopped.wait()
        return NOTHING

    with monkeypatch.context() as patched:
        patched.setattr(search, "of_file", of_file)
        request(root, "a.jpg")
        carrying.carry_out()
        carrying.stop()
    assert not carrying._searching.is_alive()
    assert len(read) <= 1  # none, where it had not begun to read
    assert status(root) == [("searching", "search")]
    eraser().carry_out()
    assert status(root) == [("done", "nothing")]


def test_earlier_versions_of_files_go_under_the_lease_alone_once_a_search_has_ended(root, eraser, monkeypatch):
    purged, is_lost = [], threading.Event()

    def check():
        if is_lost.is_set():
            raise LeaseLost(root)

    monkeypatch.setattr(objects, "purge", lambda uri: purged.append((uri, threading.current_thread())) or 1)
    request(root, "a.jpg")
    carrying = eraser(once=False)
    object.__setattr__(carrying._steps, "before_commit", check)
    carrying.carry_out()
    carrying._searching.join()
    is_lost.set()
    with pytest.raises(LeaseLost):
        carrying.carry_out()
    assert (purged, status(root)) == ([], [("searching", "search")])
    is_lost.clear()
    again = eraser()
    again.carry_out()
    assert (purged, status(root)) == ([(root, threading.main_thread())], [("done", "nothing")])
    assert register.every(root)[0].places["earlier versions of files"]["removed"] == 1


def test_a_store_that_refuses_to_remove_earlier_versions_holds_the_certificate_up(root, eraser, monkeypatch):
    def refused(uri):
        raise AccessDenied(f"{uri}: access is denied (AccessDenied); grant list, read and write on the bucket b")

    request(root, "a.jpg")
    with monkeypatch.context() as refusing:
        refusing.setattr(objects, "purge", refused)
        eraser().carry_out()
    assert status(root) == [("incomplete", "search")]
    eraser().carry_out()
    assert status(root) == [("done", "nothing")]


def test_the_log_is_not_cut_where_the_lease_was_lost_while_old_files_were_removed(root, monkeypatch):
    is_lost = threading.Event()

    def check():
        if is_lost.is_set():
            raise LeaseLost(root)

    monkeypatch.setattr(upkeep, "vacuum", lambda *_: is_lost.set())
    monkeypatch.setattr(upkeep, "cut_log", lambda *_: pytest.fail("the log was cut"))
    steps = Steps(None, IngestSettings(images="/images", root=root), check)
    with pytest.raises(LeaseLost):
        steps.remove([Request(request(root, "a.jpg"), Traces.of(["file:///images/a.jpg"]))])


def test_each_round_is_told_to_a_server_of_openlineage_in_numbers_alone(root, eraser):
    pytest.importorskip("openlineage.client", reason="needs openlineage-python: pip install 'fruitpipe[lineage]'")
    for name in ("a.jpg", "b.jpg"):
        request(root, name)
    with serving() as server:
        carrying = eraser()
        carrying.told = Lineage(root, server.url)
        carrying.carry_out()
        carrying.carry_out()  # nothing is pending
    assert server.states == [("fruitpipe.erasure", "START"), ("fruitpipe.erasure", "COMPLETE")]
    assert counts(server.events[1]) == {"done": 2, "images": 2, "rows_deleted": 0}
    assert [one["name"] for one in server.events[1]["outputs"]] == [f"{root.removeprefix('file://')}/{name}" for name in PLACES]
    assert not [body for body in server.bodies if ".jpg" in body]
