"""What the doctor says of a root that lies in a folder."""

import io
import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.errors import AccessDenied, Damaged, NotFound, PlatformFault, WrongRoot
from fruitpipe.export import register as exports
from fruitpipe.extractor import arrow_schema
from fruitpipe.operations import doctor
from fruitpipe.refit import publication, rollback, version_files, version_model
from fruitpipe.table import columns, data_files, delta, first_commit
from tests.rows import empty_table
from tests.versions import publish


@pytest.fixture
def asked(tmp_path):
    """A table of one row, and two published versions."""
    root = f"file://{tmp_path}/root"
    empty_table(root)
    rows = pa.Table.from_pylist([{"path": f"{root}/Kiwi/1.jpg"}], arrow_schema.OUTCOMES).drop_columns("outcome")
    add = data_files._add(delta.folder(root), rows)
    objects.write(delta.file_uri(root, f"_delta_log/{1:020}.json"), add.encode())
    for _ in range(2):
        publish(root)
    return doctor.Targets(root=root, images=None, model="", allowed_regions="any")


def data_file(root):
    (uri,) = [stat.path for stat in objects.list_all(delta.folder(root)) if stat.path.endswith(".parquet")]
    return uri


def test_the_doctor_says_whether_readers_are_held_at_a_version(asked):
    assert doctor.check_pointer(asked) == "v000002 of 30 rows, of 2 published, each whole"
    rollback.roll_back(asked.root, "v000001")
    said = doctor.check_pointer(asked)
    assert said.startswith("v000001 of 30 rows, of 2 published, each whole; v000001 is held since 20")
    assert said.endswith(f"UTC, until fruitpipe release --root {asked.root}")


def test_who_may_neither_write_nor_remove_is_told_of_the_writing_first(asked, monkeypatch):
    def refuses(what):
        def call(uri, *_, **__):
            raise AccessDenied(f"{uri}: access is denied; grant {what}")

        return call

    monkeypatch.setattr(objects, "write", refuses("write"))
    monkeypatch.setattr(objects, "erase", refuses("remove"))
    with pytest.raises(AccessDenied, match="grant write"):
        doctor.check_root(asked)


def test_the_doctor_names_what_is_no_image_and_a_folder_without_any(asked, tmp_path):
    asked = replace(asked, images=f"file://{tmp_path}/images")
    for name in ("a.DNG", "b.dng", "c.MOV"):
        objects.write(f"{asked.images}/{name}", b"1")
    with pytest.raises(NotFound, match=r"no image matches .* \(skipped: .*: 2 .dng, 1 .mov\); check --images"):
        doctor.check_images(asked)
    objects.write(f"{asked.images}/d.jpg", b"1")
    objects.write(f"{asked.images}/._d.jpg", b"1")
    said = doctor.check_images(asked)
    assert "list and read (d.jpg); skipped: 1 side files of macOS; names" in said
    assert said.endswith("names that are not like *.{jpg,jpeg,png,webp,avif,heic,heif,hif}: 2 .dng, 1 .mov")


@pytest.mark.parametrize("verify", [False, True])
def test_a_whole_table_is_counted(asked, verify):
    said = doctor.check_table(doctor.Targets(asked.root, None, "", "any", verify=verify))
    assert said.startswith("version 1, 1 rows in 1 files of 0.0 MB, ")
    assert said.endswith("; 2 commits since a checkpoint")


def test_a_data_file_that_is_missing_is_named_and_a_table_that_was_never_made_is_told(asked, tmp_path):
    objects.delete(data_file(asked.root))
    with pytest.raises(Damaged, match=r"part-.* is missing, with 1 rows; run fruitpipe reconcile .* --repair"):
        doctor.check_table(asked)
    with pytest.raises(NotFound, match="there are no features yet"):
        doctor.check_table(doctor.Targets(f"file://{tmp_path}/none", None, "", "any"))


def test_a_changed_byte_is_found_when_every_page_is_read(asked):
    uri = data_file(asked.root)
    body = bytearray(objects.read(uri))
    path = pq.read_metadata(io.BytesIO(body)).row_group(0).column(0)
    body[path.dictionary_page_offset + path.total_compressed_size - 1] ^= 1
    objects.write(uri, bytes(body))
    doctor.check_table(asked)
    with pytest.raises(Damaged, match=r"part-.* does not read back"):
        doctor.check_table(doctor.Targets(asked.root, None, "", "any", verify=True))


def test_a_property_that_breaks_the_jobs_is_told(tmp_path):
    root = f"file://{tmp_path}/other"
    properties = columns.PROPERTIES | {"delta.appendOnly": "true"}
    first_commit.write(delta.folder(root), columns.SCHEMA, properties, datetime.now(UTC))
    with pytest.raises(WrongRoot, match=r"delta\.appendOnly is true, but rows are changed and removed: ALTER TABLE"):
        doctor.check_table(doctor.Targets(root, None, "", "any"))


def test_checkpoints_that_no_longer_come_are_told(asked):
    for version in range(2, 152):
        objects.write(delta.file_uri(asked.root, f"_delta_log/{version:020}.json"), b'{"commitInfo": {}}')
    with pytest.raises(PlatformFault, match="152 commits since the last checkpoint, and one is due every 50"):
        doctor.check_table(asked)


def test_waiting_manifests_are_told_by_their_age(asked):
    for name, hours in (("a", 0), ("b", 2), ("c", 30)):
        uri = objects.join(asked.root, "events", f"{name}.jsonl")
        objects.write(uri, b"{}")
        then = time.time() - 3600 * hours
        os.utime(uri.removeprefix("file://"), (then, then))
        if name == "b":
            assert doctor.check_manifests(asked) == "2 wait, 1 of them for over an hour"
    with pytest.raises(PlatformFault, match=r"1 of 3 manifests wait for over a day, the oldest since 20"):
        doctor.check_manifests(asked)


@pytest.mark.parametrize("left", [None, 99], ids=["missing", "cut"])
def test_any_published_version_whose_classifier_is_gone_is_told(asked, left):
    uri = f"{version_model.model_uri(asked.root, 'v000001')}/classifier.npz"
    body = objects.read(uri)
    objects.delete(uri)
    if left:
        objects.write(uri, body[:left])
    with pytest.raises(Damaged, match=r"v000001/classifier\.npz: .* rollback"):
        doctor.check_pointer(asked)


def test_any_published_version_of_which_a_file_is_missing_is_told(asked):
    objects.delete(f"{publication.reduced_uri(asked.root, 'v000001')}/part-0.parquet")
    with pytest.raises(Damaged, match=r"v000001/part-0\.parquet: is missing; readers get another version"):
        doctor.check_pointer(asked)


def test_of_a_version_of_an_earlier_fruitpipe_the_rows_are_counted(asked):
    uri = f"{version_model.model_uri(asked.root, 'v000001')}/reduction.json"
    facts = json.loads(objects.read(uri))
    del facts[version_files.FILES]
    objects.write(uri, json.dumps(facts).encode())
    doctor.check_pointer(asked)
    objects.delete(f"{publication.reduced_uri(asked.root, 'v000001')}/part-0.parquet")
    with pytest.raises(Damaged, match="20 of the 30 rows that were published are there"):
        doctor.check_pointer(asked)


def test_a_laptop_without_a_stream_is_well(asked):
    assert doctor.check_stream(asked) == f"none runs now; fruitpipe ingest --images URI --root {asked.root} --once catches up"


def test_an_app_of_a_version_that_an_erasure_withdrew_over_a_day_ago_answers_as_before_and_is_a_fault(asked):
    record = register.request(asked.root, ["file:///a.jpg"], requested_by="")
    exports.add(asked.root, exports.Export("s3://shop/app", "v000009-01234567", "v000009"))
    for hours, withdrawn in ((23, ["v000009"]), (25, [])):
        at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        register.save(asked.root, replace(record, requested_at=at, carried_out_at=at, status="done", withdrawn=withdrawn))
        assert doctor.check_erasures(asked).startswith("0 pending, 1 with a certificate")
    register.save(asked.root, replace(record, requested_at=at, carried_out_at=at, status="done", withdrawn=["v000009"]))
    with pytest.raises(
        PlatformFault,
        match=r"1 apps or published copies are of versions that an erasure withdrew.*s3://shop/app/v000009-01234567",
    ):
        doctor.check_erasures(asked)


def test_how_long_erasures_took_is_told_and_one_that_nobody_carries_out_or_that_is_incomplete_is_a_fault(asked):
    assert doctor.check_erasures(asked) == "0 pending, 0 with a certificate"
    one, other = (register.request(asked.root, [f"file:///{name}.jpg"], requested_by="") for name in "ab")
    assert doctor.check_erasures(asked) == "2 pending, 0 with a certificate"
    times = {"requested_at": "2026-11-01T10:00:00.5+00:00", "carried_out_at": "2026-11-01T10:01:30+00:00"}
    register.save(asked.root, replace(one, **times, status="done"))
    said = doctor.check_erasures(asked)
    assert said == "1 pending, 1 with a certificate; readers got none of the images after 90 s at most"
    register.save(asked.root, replace(other, requested_at=times["requested_at"]))
    with pytest.raises(PlatformFault, match="1 erasures wait for over a day; have them carried out: fruitpipe ingest"):
        doctor.check_erasures(asked)
    register.save(asked.root, replace(other, **times, status="incomplete"))
    with pytest.raises(PlatformFault, match=f"1 erasures are incomplete.*erasures/{other.id}.json"):
        doctor.check_erasures(asked)
