"""Which step of an erasure follows which, without the steps themselves: those are tested on Spark."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.errors import PySparkException

from fruitpipe import objects
from fruitpipe.erasure import notes, places, register, steps
from fruitpipe.erasure.execution import Eraser
from fruitpipe.erasure.search import Search
from fruitpipe.erasure.steps import Steps
from fruitpipe.errors import AccessDenied, DuplicateRows, PlatformFault
from fruitpipe.root import manifests
from fruitpipe.runtime import cache
from fruitpipe.settings import IngestSettings
from tests.rows import empty_table, put_rows

PAST, FUTURE = (str(datetime.now(UTC) + timedelta(hours=hours)) for hours in (-1, 1))


class NoVersions:
    """A root where nothing is published."""

    def holding(self, _):
        return []


class Script(Steps):
    """The steps that need Spark, done by saying so; the others as they are."""

    def __init__(self, settings, files_go_after=PAST):
        super().__init__(None, settings, lambda: None)
        object.__setattr__(self, "said", [])
        object.__setattr__(self, "files_go_after", files_go_after)

    versions = NoVersions()

    def withdraw(self, requests):
        self.said.append(("withdraw", len(requests)))
        return [replace(one.record, status="waiting", step="remove", files_go_after=self.files_go_after) for one in requests]

    def remove(self, requests):
        self.said.append(("remove", len(requests)))
        return [replace(one.record, status="searching", step="search") for one in requests]

    def look(self, requests):
        self.said.append(("look", len(requests)))
        return super().look(requests)


@pytest.fixture
def root(tmp_path):
    empty_table(f"file://{tmp_path}/root")
    return f"file://{tmp_path}/root"


@pytest.fixture
def eraser(root, monkeypatch):
    monkeypatch.setattr(places, "on_this_machine", lambda _: [])

    def eraser(files_go_after=PAST, **given):
        settings = IngestSettings(images="/images", root=root, **{"once": True} | given)
        made = Eraser(None, settings, lambda: None)
        made._steps = Script(settings, files_go_after)
        return made

    return eraser


def request(root, *names):
    return register.request(root, [f"file:///images/{name}" for name in names], requested_by="")


def status(root):
    return [(record.status, record.step) for record in register.every(root)]


def test_all_pending_requests_go_through_each_step_together(root, eraser):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        request(root, name)
    carrying = eraser()
    carrying.carry_out()
    assert carrying._steps.said == [("withdraw", 3), ("remove", 3), ("look", 3)]
    assert status(root) == [("done", "nothing")] * 3
    assert register.is_settled(root)


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


def test_a_file_with_the_images_name_is_told_without_it_and_the_record_is_no_trace_itself(root, eraser):
    request(root, "a.jpg")
    objects.write(f"{root}/copies/picture=%2Fimages%2Fa.jpg", b"file:///images/a.jpg")
    carrying = eraser()
    carrying.carry_out()
    body = objects.read(f"{root}/erasures/{register.every(root)[0].id}.json")
    assert b"a.jpg" not in body
    objects.delete(f"{root}/copies/picture=%2Fimages%2Fa.jpg")
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]


def test_a_store_that_refuses_what_is_to_be_gathered_does_not_end_the_stream(root, eraser, monkeypatch):
    request(root, "a.jpg")

    def refuses(*_):
        raise AccessDenied(f"{root}/features/x.parquet: access is denied (403)")

    carrying = eraser()
    with monkeypatch.context() as refused:
        refused.setattr(steps, "gather", refuses)
        carrying.carry_out()
    assert status(root) == [("incomplete", "withdraw")]
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]


def test_a_data_file_that_is_gone_leaves_the_request_for_later_and_another_error_of_sparks_is_raised(root, eraser):
    request(root, "a.jpg")
    carrying, saying = eraser(), "[FAILED_READ_FILE.FILE_NOT_EXIST] File file:/root/features/part-1.parquet does not exist"
    for text in (saying, "out of memory"):

        def fails(_, text=text):
            raise PySparkException(text)

        object.__setattr__(carrying._steps, "withdraw", fails)
        if text == saying:
            carrying.carry_out()
            assert register.every(root)[0].remaining[0]["what"] == "the table's file part-1.parquet"
        else:
            with pytest.raises(PySparkException, match="out of memory"):
                carrying.carry_out()
    assert status(root) == [("incomplete", "withdraw")]


def test_another_records_words_that_name_the_image_are_taken_out_at_the_next_attempt(root, eraser):
    request(root, "a.jpg")
    carrying = eraser()
    other = register.request(root, ["file:///else/z.jpg"], requested_by="who asked for file:///images/a.jpg", keep_object=True)
    register.save(root, replace(other, status="done", step="nothing"))
    carrying.carry_out()
    carrying.carry_out()
    assert {record.status for record in register.every(root)} == {"done"}
    assert "named an image" in register.find(root, other.id).requested_by


def test_a_request_whose_names_are_gone_holds_nobody_up_and_ends_when_its_images_were_asked_for_again(root, eraser):
    lost = request(root, "a.jpg")
    objects.delete(notes.uri(root, lost.id, "names"))
    carrying = eraser()
    carrying.carry_out()
    assert register.find(root, lost.id).remaining == [register.NAMELESS]
    carrying.admit([manifests.ImageEvent("erase", "file:///images/a.jpg")])
    carrying.carry_out()
    carrying.carry_out()
    assert status(root) == [("done", "nothing")] * 2


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


@pytest.mark.parametrize("name", ["a b.jpg (1).jpg", "a b.jpg/tile.jpg", "a%20b.jpg"])
def test_an_image_that_comes_in_within_the_grace_and_in_whose_name_the_erased_one_can_be_read_is_no_trace(root, eraser, name):
    record = request(root, "a b.jpg")
    waiting = eraser(FUTURE)
    waiting.carry_out()
    put_rows(root, [objects.Stat(f"file:///images/{name}", "e", 1, datetime.now(UTC))])
    event = manifests.to_line(manifests.ImageEvent("created", f"file:///images/{name}")) + "\n"
    objects.write(f"{root}/events/2026/01/01/000000-test.jsonl", event.encode())
    register.save(root, replace(register.find(root, record.id), files_go_after=PAST))
    eraser().carry_out()
    assert status(root) == [("done", "nothing")]


def test_a_table_of_which_a_data_file_is_gone_does_not_end_the_stream_before_a_step_has_met_that(root, eraser):
    request(root, "a.jpg")
    put_rows(root, [objects.Stat("file:///images/b.jpg", "e", 1, datetime.now(UTC))])
    for stat in list(objects.list_all(f"{root}/features")):
        if stat.path.endswith(".parquet"):
            objects.delete(stat.path)
    carrying = eraser()
    carrying.carry_out()
    assert carrying._steps.said[0] == ("withdraw", 1)


def test_one_that_comes_in_while_the_search_reads_is_none_either(root, eraser):
    request(root, "a.jpg")
    carrying = eraser()
    steps_look = carrying._steps.look

    def look(requests):
        put_rows(root, [objects.Stat("file:///images/a.jpg (1).jpg", "e", 1, datetime.now(UTC))])
        return steps_look(requests)

    object.__setattr__(carrying._steps, "look", look)
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]


@pytest.mark.parametrize("failure", [PlatformFault, AccessDenied])
def test_an_image_store_that_does_not_answer_at_the_end_ends_no_stream_and_is_asked_again(root, eraser, monkeypatch, failure):
    record = request(root, "a.jpg")
    look = objects.look

    def failing(uri, *given, **named):
        if uri == "file:///images/a.jpg":
            raise failure(f"{uri}: Input/output error")
        return look(uri, *given, **named)

    carrying = eraser()
    with monkeypatch.context() as broken:
        broken.setattr(objects, "look", failing)
        carrying.carry_out()
        carrying.carry_out()
        assert status(root) == [("done", "nothing")]
        assert notes.names(root, record.id) == ["file:///images/a.jpg"]
        assert carrying._not_before is not None
    carrying.carry_out()
    assert register.is_settled(root)


def test_a_manifest_cannot_have_a_file_of_the_root_erased(root, eraser, capsys):
    kept = f"{root}/features/part.parquet"
    objects.write(kept, b"rows")
    carrying = eraser()
    assert carrying.admit([manifests.ImageEvent("erase", kept)]) == []
    assert (carrying.is_due(), register.every(root)) == (False, [])
    assert "lies in the root" in capsys.readouterr().out
    assert objects.read(kept) == b"rows"


def test_the_search_goes_on_beside_the_query_and_its_end_is_due(root, eraser):
    request(root, "a.jpg")
    carrying, go_on = eraser(once=False), threading.Event()

    def look(requests):
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


def test_the_record_of_a_request_that_waits_for_duplicates_to_be_mended_names_no_image(root, eraser):
    request(root, "a.jpg")
    carrying = eraser()

    def fails(_):
        raise DuplicateRows(f"{root}: images with more than one row (file:///images/b.jpg, ...) would count more than once")

    object.__setattr__(carrying._steps, "withdraw", fails)
    carrying.carry_out()
    assert status(root) == [("incomplete", "withdraw")]
    assert b".jpg" not in objects.read(f"{root}/erasures/{register.every(root)[0].id}.json")


def test_a_store_that_refuses_a_published_version_does_not_end_the_stream_and_no_file_goes_before_it_is_read(root, eraser):
    request(root, "a.jpg")
    waiting = eraser(FUTURE)
    waiting.carry_out()
    (record,) = register.every(root)
    register.save(root, replace(record, files_go_after=PAST))

    class Refused(NoVersions):
        def holding(self, _):
            raise AccessDenied(f"{root}/reduced/v000001/part-0.parquet: access is denied (403)")

    carrying = eraser()
    object.__setattr__(carrying._steps, "versions", Refused())
    carrying.carry_out()
    assert (status(root), carrying._steps.said) == ([("incomplete", "remove")], [])
    object.__setattr__(carrying._steps, "versions", NoVersions())
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]


def test_a_log_of_another_user_is_told_and_holds_no_proof_up(root, tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "cache"))
    ours, others, look = f"file://{cache.folder()}/logs/spark-1.log", f"file://{cache.folder()}/logs/spark-2.log", objects.look
    for uri in (ours, others):
        objects.write(uri, b"nothing of an image")

    def refusing(uri, *given, **named):
        return objects.Unreadable("Permission denied") if uri == others else look(uri, *given, **named)

    monkeypatch.setattr(objects, "look", refusing)
    request(root, "a.jpg")
    settings = IngestSettings(images="/images", root=root, once=True)
    carrying = Eraser(None, settings, lambda: None)
    carrying._steps = Script(settings)
    carrying.carry_out()
    (record,) = register.every(root)
    assert (record.status, [one["what"] for one in record.remaining]) == ("done", [others])
