"""Which names a search finds are traces of an erased image, and which are others' or our own."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fruitpipe import objects
from fruitpipe.erasure import places, register
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.pictures import naming
from fruitpipe.root import manifests
from tests.erasing import FUTURE, PAST, request, status
from tests.rows import put_rows


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


def test_another_records_words_that_name_the_image_are_taken_out_at_the_next_attempt(root, eraser):
    request(root, "a.jpg")
    carrying = eraser()
    other = register.request(root, ["file:///else/z.jpg"], requested_by="who asked for file:///images/a.jpg", keep_object=True)
    register.save(root, replace(other, status="done", step="nothing"))
    carrying.carry_out()
    carrying.carry_out()
    assert {record.status for record in register.every(root)} == {"done"}
    assert "named an image" in register.find(root, other.id).requested_by


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


def test_one_that_comes_in_while_the_search_reads_is_none_either(root, eraser):
    request(root, "a.jpg")
    carrying = eraser()
    steps_look = carrying._steps.look

    def look(requests, stopped):
        put_rows(root, [objects.Stat("file:///images/a.jpg (1).jpg", "e", 1, datetime.now(UTC))])
        return steps_look(requests, stopped)

    object.__setattr__(carrying._steps, "look", look)
    carrying.carry_out()
    assert status(root) == [("done", "nothing")]


def test_a_list_of_names_that_a_killed_process_had_begun_to_write_is_no_trace_for_ever(root, eraser):
    record = request(root, "a.jpg")
    begun = f"{root}/erasures/.{record.id}.names.json.{'0' * 32}"
    objects.write(begun, b'["file:///images/a.jpg"]')
    eraser().carry_out()
    assert status(root) == [("incomplete", "look again")]  # another process may still be at it
    os.utime(begun.removeprefix("file://"), (0, 0))
    eraser().carry_out()
    assert status(root) == [("done", "nothing")]
    assert not objects.exists(begun)


def test_a_prefix_that_is_the_erased_image_itself_goes_from_the_roots_rule_and_others_stay(root):
    """A stream that was given a single file that its glob does not take has stored it."""
    naming.keep(root, naming.Naming(1, ("file:///images/a.jpg", "file:///images", "file:///images/a.jpg/more"), False))
    for expected in (1, 0):
        removed = places.empty(root, {"one": Traces.of(["file:///images/a.jpg"]), "other": Traces.of(["file:///images/b.jpg"])})
        assert (removed["one"]["labels.json"], removed["other"]["labels.json"]) == (expected, 0)
    assert naming.of(root) == naming.Naming(1, ("file:///images", "file:///images/a.jpg/more"), False)
