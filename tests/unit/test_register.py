"""Requests to erase and their records: what they cover, what they keep out, and what they must never remove."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from fruitpipe import objects
from fruitpipe.erasure import command, image_objects, notes, register, requested_images
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.execution import Eraser
from fruitpipe.erasure.register import Tombstones
from fruitpipe.erasure.request_list import Named
from fruitpipe.erasure.requested_images import Criteria
from fruitpipe.errors import AccessDenied, Conflict, WrongRoot, WrongUsage
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def image(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"a")
    return f"file://{tmp_path}/images/a.jpg"


def done(root, record, **more):
    register.save(root, replace(record, status="done", **more))


def asked(*uris, **more):
    return Criteria([Named(uri) for uri in uris], **more)


def request(root, *paths, **more):
    return register.request(root, paths, **{"requested_by": ""} | more)


@pytest.mark.parametrize("named", ["{root}/reduced/latest.json", "{root}", "{root}/features"])
def test_what_the_pipeline_made_is_no_image_and_is_not_erased(root, named):
    objects.write(f"{root}/reduced/latest.json", b"{}")
    with pytest.raises(WrongUsage, match="lies in the root"):
        requested_images.select(root, asked(named.format(root=root)))
    with pytest.raises(WrongUsage, match="lies in the root"):
        requested_images.select(root, Criteria(prefix=named.format(root=root)))


def test_nor_is_it_through_a_link(root, tmp_path):
    objects.write(f"{root}/reduced/latest.json", b"{}")
    (tmp_path / "link").symlink_to(root.removeprefix("file://"))
    with pytest.raises(WrongUsage, match="lies in the root"):
        requested_images.select(root, asked(f"file://{tmp_path}/link/reduced/latest.json"))


def test_a_prefix_that_holds_the_root_is_refused(root, tmp_path):
    with pytest.raises(WrongUsage, match="or holds it"):
        requested_images.select(root, Criteria(prefix=str(tmp_path)))


def test_a_request_that_leaves_the_object_does_not_stand_for_one_that_does_not(root, image):
    request(root, image, keep_object=True)
    assert requested_images.select(root, asked(image, keep_object=True)).paths == []
    assert requested_images.select(root, asked(image)).paths == [image]


def test_the_latest_request_says_whether_an_image_stays_out(root, image):
    done(root, request(root, image, keep_object=True, requested_by="first"), requested_at="2026-01-01T00:00:00+00:00")
    assert Tombstones.of(root).keeps_out(image)
    done(root, request(root, image, requested_by="second"))
    assert not Tombstones.of(root).keeps_out(image)
    assert Tombstones.of(root).covers(image)


def test_a_page_that_was_made_while_an_image_was_erased_is_removed_and_one_made_later_stays(root, image):
    page = f"{root}/reports/v000001.html"
    record = request(root, image)
    before = register.gone_from_table(root)
    objects.write(page, b"<html>")
    register.check_shown(root, page, before)
    register.save(root, replace(record, features_table="0123", features_version=7))
    with pytest.raises(Conflict, match=r"v000001\.html: images were erased while it was made"):
        register.check_shown(root, page, before)
    assert not objects.exists(page)
    objects.write(page, b"<html>")
    register.check_shown(root, page, register.gone_from_table(root))
    assert register.gone_from_versions(root) == frozenset(), "a version may hold it until another takes its place"
    assert objects.exists(page)


def test_without_its_salt_no_record_is_believed_and_none_is_made(root, image):
    request(root, image, keep_object=True)
    objects.delete(f"{root}/erasures/salt")
    for look in (lambda: Tombstones.of(root), lambda: request(root, image)):
        with pytest.raises(WrongRoot, match="salt is gone"):
            look()


def test_what_a_request_keeps_goes_when_it_is_done_and_not_while_it_is_pending(root, image):
    pending, finished = request(root, image), request(root, f"{image}2")
    done(root, finished)
    assert [record.id for record in register.finished(root)] == [finished.id]
    notes.drop(root, finished.id)
    register.drop_abandoned(root)
    assert notes.names(root, pending.id) == [image]
    assert f"{finished.id}.names.json" not in objects.children(f"{root}/erasures")
    assert register.finished(root) == []


def test_rows_that_were_read_before_an_erasure_are_not_published_and_another_table_counts_for_itself(root, image):
    done(root, request(root, image), features_table="this", features_version=40)
    register.check_pinned(root, "this", 40)
    register.check_pinned(root, "made anew", 3)
    with pytest.raises(Conflict, match="erased meanwhile"):
        register.check_pinned(root, "this", 39)


def test_who_asked_may_not_be_said_with_the_images_name_in_it(root, image):
    objects.write(f"{root}/writer.json", b"{}")
    with pytest.raises(WrongUsage, match="--requested-by names an image"):
        command.erase(root, asked(image), requested_by=f"somebody, for {image}")
    assert objects.exists(image)


def test_the_stream_is_told_of_a_request_whatever_became_of_its_objects(root, image, monkeypatch):
    objects.write(f"{root}/writer.json", b"{}")

    def fails(*_):
        raise AccessDenied(f"{root}/erasures/x.objects.json: access is denied (403)")

    monkeypatch.setattr(image_objects, "remove", fails)
    for _ in range(2):  # the request is new, and then it is known
        with pytest.raises(AccessDenied):
            command.erase(root, asked(image), requested_by="")
        (manifest,) = [stat.path for stat in objects.list_all(f"{root}/events")]
        assert manifests.parse_line(objects.read(manifest).decode()).event == "erase"
        objects.delete(manifest)


@pytest.mark.parametrize("keep_object", [True, False])
def test_what_the_command_tells_a_running_stream_asks_for_no_more_than_the_command(root, image, keep_object):
    objects.write(f"{root}/writer.json", b"{}")
    made = command.erase(root, asked(image, keep_object=keep_object), requested_by="me")
    (manifest,) = [stat.path for stat in objects.list_all(f"{root}/events")]
    told = [manifests.parse_line(line) for line in objects.read(manifest).decode().splitlines()]
    stream = Eraser(None, IngestSettings(images="/images", root=root), lambda: None)
    assert (stream.admit(told), stream.is_due()) == ([], True)
    assert [(one.id, one.keep_object) for one in register.every(root)] == [(made[0], keep_object)]


def test_a_line_that_leaves_the_object_is_a_request_that_does_and_one_that_does_not_is_another(root, image):
    stream = Eraser(None, IngestSettings(images="/images", root=root), lambda: None)
    for keep_object in (True, True, False, False, True):
        stream.admit([manifests.ImageEvent("erase", image, keep_object=keep_object)])
    assert [one.keep_object for one in register.every(root)] == [True, False]


def test_another_requests_words_lose_the_name_and_its_record_stays(root, image):
    other = request(root, "file:///images/z.jpg", keep_object=True, requested_by=f"somebody; {image} stays")
    assert register.redact(root, Traces.of([image])) == 1
    assert "it named an image" in register.find(root, other.id).requested_by
    assert Tombstones.of(root).keeps_out("file:///images/z.jpg")


def test_late_news_of_an_erased_image_leaves_no_name_in_the_manifests(root, image):
    done(root, request(root, f"{image}2", image))
    now = manifests.parse_line(manifests.to_line(manifests.ImageEvent("created", f"{image}2")))
    lines = [manifests.to_line(replace(now, path=path)) + "\n" for path in (f"{image}2", image, "file:///images/b.jpg")]
    objects.write(f"{root}/events/2026/01/01/000000-test.jsonl", "".join(lines).encode())
    named = [manifests.parse_line(line) for line in lines]
    Eraser(None, IngestSettings(images="/images", root=root), lambda: None).admit(named)
    left = objects.read(f"{root}/events/2026/01/01/000000-test.jsonl").decode()
    assert left == "".join(lines[1:])  # a.jpg was put there anew: that news is to be read


def test_a_record_is_read_once_and_again_when_it_has_changed(root, monkeypatch):
    first, second = request(root, "file:///images/a.jpg"), request(root, "file:///images/b.jpg")
    assert len(register.every(root)) == 2
    read, whole = [], objects.read
    monkeypatch.setattr(objects, "read", lambda uri: read.append(objects.name(uri)) or whole(uri))
    assert len(register.every(root)) == 2
    assert read == []
    body = whole(f"{root}/erasures/{first.id}.json").replace(b'"requested"', b'"incomplete"')
    objects.write(f"{root}/erasures/{first.id}.json", body)  # by another process
    assert {record.id: record.status for record in register.every(root)} == {first.id: "incomplete", second.id: "requested"}
    assert read == [f"{first.id}.json"]
    done(root, second)
    assert {record.status for record in register.every(root)} == {"incomplete", "done"}


def test_a_change_of_one_record_costs_no_other_a_read(root, monkeypatch):
    records = [request(root, f"file:///images/{number}.jpg") for number in range(3)]
    register.every(root)
    read, whole = [], objects.read
    monkeypatch.setattr(objects, "read", lambda uri: read.append(objects.name(uri)) or whole(uri))
    for status in ("waiting", "searching"):
        register.save(root, replace(records[0], status=status))
        assert [record.status for record in register.every(root)] == [status, "requested", "requested"]
    assert read == [f"{records[0].id}.json"] * 2


def test_a_record_of_a_later_version_is_understood_and_keeps_what_that_one_noted(root, image):
    made = request(root, image)
    uri = f"{root}/erasures/{made.id}.json"
    told = json.loads(objects.read(uri))
    assert "more" not in told
    objects.write(uri, json.dumps(told | {"asked_by": {"name": "a later version's"}}).encode())
    register.complete(root, register.find(root, made.id))
    assert Tombstones.of(root).covers(image)
    written = json.loads(objects.read(uri))
    assert (written["status"], written["asked_by"]) == ("done", {"name": "a later version's"})
    assert written.keys() == {*told, "asked_by"}


def test_of_two_requests_in_one_second_the_later_decides(root, image, monkeypatch):
    numbers = iter(["ff", "5a" * 32, "00"])
    monkeypatch.setattr(register.secrets, "token_hex", lambda _: next(numbers))
    for keep_object in (True, False):
        register.complete(root, register.request(root, [image], requested_by="me", keep_object=keep_object))
    assert not register.Tombstones.of(root).keeps_out(image)


def test_late_news_of_an_erased_image_without_a_row_is_left_out_of_the_batch(root, image):
    done(root, request(root, f"{image}2"))
    late, own = (manifests.ImageEvent("created", path) for path in (f"{image}2", image))
    assert Eraser(None, IngestSettings(images="/images", root=root), lambda: None).admit([late, own]) == [own]


@pytest.mark.parametrize("end", [" (1).jpg", "@2x.jpg", "/tile.jpg"])
def test_late_news_of_an_erased_image_takes_no_other_images_line_from_a_manifest(root, image, end):
    done(root, request(root, image))
    late, own = (manifests.ImageEvent("created", path) for path in (f"{image}", f"{image}{end}"))
    os.remove(image.removeprefix("file://"))
    lines = [manifests.to_line(event) + "\n" for event in (late, own)]
    objects.write(f"{root}/events/2026/01/01/000000-test.jsonl", "".join(lines).encode())
    assert Eraser(None, IngestSettings(images="/images", root=root), lambda: None).admit([late, own]) == [own]
    assert objects.read(f"{root}/events/2026/01/01/000000-test.jsonl").decode() == lines[1]


@pytest.mark.parametrize("is_put_back_later", [False, True])
def test_late_news_of_a_deletion_takes_no_news_of_a_picture_that_was_put_back(root, image, monkeypatch, is_put_back_later):
    done(root, request(root, image))
    removed, created = (manifests.ImageEvent(kind, image) for kind in ("removed", "created"))
    unread, look = f"{root}/events/2026/01/01/000000-unread.jsonl", objects.look

    def put_back():
        objects.write(image, b"a new picture")
        objects.write(unread, manifests.to_line(created).encode())

    def looked_at_before(uri, **asked):
        found = look(uri, **asked)
        if uri == image:
            put_back()
        return found

    if is_put_back_later:
        objects.delete(image)
        monkeypatch.setattr(objects, "look", looked_at_before)
    else:
        put_back()
    stream = Eraser(None, IngestSettings(images="/images", root=root), lambda: None)
    assert stream.admit([removed]) == [removed] * (not is_put_back_later)
    assert manifests.parse_line(objects.read(unread).decode()) == created


def test_who_waits_for_a_certificate_is_told_what_is_left_to_do(root, image, capsys):
    line = {"what": "access logs of the bucket fruits", "answer": "on: s3://logs/", "state": "to do", "to_do": "aws s3 rm"}
    old = {"what": "replicas", "answer": "on", "to_do": "by a version of before"}
    record = request(root, image)
    done(root, record, elsewhere=[line, line | {"state": "cleaned"}, old])
    command.wait(root, [record.id])
    said = capsys.readouterr().out.splitlines()
    assert "no trace found; the record names what lies elsewhere; certificate" in said[0]
    assert said[1:] == [f"{record.id}: to do: access logs of the bucket fruits (on: s3://logs/): aws s3 rm"]
