"""What cannot be read or removed leaves an erasure for later, and ends no stream."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pyspark.errors import PySparkException

from fruitpipe import objects
from fruitpipe.erasure import notes, register, steps
from fruitpipe.erasure.execution import Eraser
from fruitpipe.erasure.steps import Steps
from fruitpipe.errors import AccessDenied, DuplicateRows, InvalidResult, MixedExtractors, PlatformFault
from fruitpipe.root import manifests
from fruitpipe.runtime import cache
from fruitpipe.settings import IngestSettings
from tests.erasing import FUTURE, PAST, NoVersions, Script, request, status
from tests.rows import put_rows


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


class OfTwoExtractors(NoVersions):
    """A root whose rows allow no version, until they do."""

    def __init__(self):
        self.are_mixed = True

    def replace(self, *_):
        if self.are_mixed:
            raise MixedExtractors("rows of 2 extractors must not be mixed")
        return 0


class Withdrawing(Steps):
    """The steps, whose versions are given."""

    versions = OfTwoExtractors()


def test_what_a_step_removed_is_counted_though_the_rest_of_it_fails(root, eraser, monkeypatch):
    request(root, "a.jpg", "b.jpg")
    objects.write(f"{root}/reports/v000001.html", b"pictures")
    there = {"file:///images/a.jpg": None}
    monkeypatch.setattr(steps.lookup, "of_paths", lambda *_: dict(there))
    monkeypatch.setattr(steps.commits, "remove", lambda *_: there.clear())
    carrying = eraser()
    carrying._steps = Withdrawing(None, carrying.settings, lambda: None)
    for expected in ("incomplete", "waiting"):
        carrying.carry_out()
        (record,) = register.every(root)
        assert record.status == expected
        assert (record.places["features"]["removed"], record.places["reports"]["removed"]) == (1, 1)
        Withdrawing.versions.are_mixed = False


def test_a_table_of_which_a_data_file_is_gone_does_not_end_the_stream_before_a_step_has_met_that(root, eraser):
    request(root, "a.jpg")
    put_rows(root, [objects.Stat("file:///images/b.jpg", "e", 1, datetime.now(UTC))])
    for stat in list(objects.list_all(f"{root}/features")):
        if stat.path.endswith(".parquet"):
            objects.delete(stat.path)
    carrying = eraser()
    carrying.carry_out()
    assert carrying._steps.said[0] == ("withdraw", 1)


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


TWICE = DuplicateRows("images with more than one row (file:///images/b.jpg, ...) would count more than once")
WRONG = InvalidResult("component 3: variance 1.5 expected, 2.5 found; nothing is published")


@pytest.mark.parametrize(("error", "until"), [(TWICE, "each image has one row"), (WRONG, "a refit succeeds")])
def test_a_request_waits_until_a_version_can_be_fitted_and_its_record_names_no_image(root, eraser, error, until):
    request(root, "a.jpg")
    carrying = eraser()

    def fails(_):
        raise error

    object.__setattr__(carrying._steps, "withdraw", fails)
    carrying.carry_out()
    assert status(root) == [("incomplete", "withdraw")]
    assert register.every(root)[0].remaining[0]["until"] == until
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
