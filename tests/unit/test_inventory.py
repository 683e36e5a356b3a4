"""Reports of S3 Inventory as S3 lays them out, in each format, against what was written into them."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5
from unittest import mock
from urllib.parse import quote_plus

import pyarrow as pa
import pytest
from pyarrow import orc, parquet

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.errors import Damaged, PlatformFault, WrongUsage
from fruitpipe.ingest import differences, inventory
from fruitpipe.ingest.inventory import Inventory
from fruitpipe.jobs.reconcile import compare, named_rows, row_hashes
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.variants import Current
from fruitpipe.settings import ReconcileSettings
from fruitpipe.table.snapshot import Snapshot
from tests.rows import empty_table, put_rows

MADE = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
IMAGES = "s3://fruits/in"
COLUMNS = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag", "StorageClass"]
TIER = "IntelligentTieringAccessTier"
KEYS = ["in/Kiwi/a b+c.jpg", "in/Kiwi/100%25.jpg", 'in/pêche/🍓,"x".jpg', "in/Kiwi/line\nbreak.jpg"]
IN_FILES = [
    "bucket",
    "key",
    "version_id",
    "is_latest",
    "is_delete_marker",
    "size",
    "last_modified_date",
    "e_tag",
    "storage_class",
]


def row(key, *, etag="e1", size=7, kind="latest", storage="STANDARD", tier=""):
    """A row of a report: of the latest version, of an older one, or of a delete marker, which has neither size nor etag."""
    is_marker = kind == "marker"
    facts = [None, None, None] if is_marker else [size, etag, storage]
    return ["fruits", key, "v1", kind != "older", is_marker, facts[0], MADE, facts[1], facts[2], tier]


def as_csv(rows):
    lines = []
    for values in rows:
        texts = ["" if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in values]
        texts[1] = quote_plus(values[1], safe="/")
        lines.append(",".join(f'"{text}"' for text in texts))
    return gzip.compress("\n".join(lines).encode() + b"\n")


def as_table(rows):
    types = [
        pa.string(),
        pa.string(),
        pa.string(),
        pa.bool_(),
        pa.bool_(),
        pa.int64(),
        pa.timestamp("ms"),
        pa.string(),
        pa.string(),
    ]
    names = [*IN_FILES, "intelligent_tiering_access_tier"]
    columns = [[*column] for column in zip(*rows, strict=True)]
    columns[6] = [time.replace(tzinfo=None) for time in columns[6]]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, [*types, pa.string()], strict=True)]
    return pa.table(dict(zip(names, arrays, strict=True)))


def as_file(write, rows):
    sink = pa.BufferOutputStream()
    write(as_table(rows), sink)
    return sink.getvalue().to_pybytes()


ORC = "struct<" + ",".join(f"{name}:string" for name in [*IN_FILES, "intelligent_tiering_access_tier"]) + ">"
PARQUET = (
    "message s3.inventory {"
    + "".join(
        f"  {'required' if name in IN_FILES[:2] else 'optional'} "
        + ("int64 last_modified_date (TIMESTAMP(MILLIS,true));" if name == "last_modified_date" else f"binary {name} (UTF8);")
        for name in [*IN_FILES, "intelligent_tiering_access_tier"]
    )
    + "}"
)
FORMATS = {
    "CSV": (", ".join([*COLUMNS, TIER]), as_csv, "csv.gz"),
    "ORC": (ORC, partial(as_file, orc.write_table), "orc"),
    "Parquet": (PARQUET, partial(as_file, parquet.write_table), "parquet"),
}


@pytest.fixture
def write(tmp_path):
    """Writes a report of files of rows as S3 lays it out; returns the manifest's URI."""

    def write(format_, *files, bucket="fruits", schema=None):
        asked, body_of, suffix = FORMATS[format_]
        folder = tmp_path / "inventories" / "fruits" / "weekly"
        named = []
        for number, rows in enumerate(files):
            body = body_of(rows)
            objects.write(f"file://{folder}/data/{number}.{suffix}", body)
            key = f"inventories/fruits/weekly/data/{number}.{suffix}"
            named.append({"key": key, "size": len(body), "MD5checksum": md5(body, usedforsecurity=False).hexdigest()})
        told = {
            "sourceBucket": bucket,
            "destinationBucket": "arn:aws:s3:::reports",
            "version": "2016-11-30",
            "creationTimestamp": str(int(MADE.timestamp() * 1000)),
            "fileFormat": format_,
            "fileSchema": schema or asked,
            "files": named,
        }
        uri = f"file://{folder}/2026-11-20T01-00Z/manifest.json"
        objects.write(uri, json.dumps(told).encode())
        return uri

    return write


@pytest.mark.parametrize("format_", FORMATS)
def test_each_object_below_the_prefix_is_told_as_a_listing_would(write, format_):
    first = [row(key, etag=f"e{number}", size=number) for number, key in enumerate(KEYS)]
    others = [row("in-old/a.jpg"), row("in"), row("in/Kiwi/", size=0), row("other/in/a.jpg")]
    versions = [row("in/a.jpg", etag="old", kind="older"), row("in/a.jpg", etag="new"), row("in/gone.jpg", kind="marker")]
    read = list(Inventory.load(write(format_, first, [*others, *versions]), IMAGES).stats(IMAGES))
    expected = [(f"s3://fruits/{key}", f"e{number}", number) for number, key in enumerate(KEYS)]
    assert [(stat.path, stat.etag, stat.length) for stat in read] == [*expected, (IMAGES, "e1", 7), (f"{IMAGES}/a.jpg", "new", 7)]
    assert {stat.is_archived for stat in read} == {False}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    ("storage", "tier", "shut"),
    [
        ("GLACIER", "", True),
        ("DEEP_ARCHIVE", "", True),
        ("GLACIER_IR", "", False),
        ("INTELLIGENT_TIERING", "", None),
        ("INTELLIGENT_TIERING", "FREQUENT", False),
        ("INTELLIGENT_TIERING", "ARCHIVE_INSTANT_ACCESS", False),
        ("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", True),
        ("INTELLIGENT_TIERING", "DEEP_ARCHIVE", True),
    ],
)
def test_what_nobody_can_read_now_is_told_by_class_and_tier(write, format_, storage, tier, shut):
    (stat,) = Inventory.load(write(format_, [row("in/a.jpg", storage=storage, tier=tier)]), IMAGES).stats(IMAGES)
    assert stat.is_archived is shut


def test_a_report_with_the_columns_that_are_needed_alone_will_do(write, monkeypatch):
    columns = ["Key", "ETag", "Bucket", "Size"]
    monkeypatch.setitem(
        FORMATS, "CSV", (", ".join(columns), lambda _: gzip.compress(b'"in/a.jpg","e1","fruits","7"\n'), "csv.gz")
    )
    (stat,) = Inventory.load(write("CSV", []), IMAGES).stats(IMAGES)
    assert (stat.path, stat.etag, stat.length, stat.is_archived) == (f"{IMAGES}/a.jpg", "e1", 7, None), "nobody can tell"


def test_the_columns_are_those_of_the_schema():
    expected = (*IN_FILES, "intelligent_tiering_access_tier")
    assert inventory.columns("ORC", ORC) == inventory.columns("Parquet", PARQUET) == expected
    assert inventory.columns("CSV", "Bucket, Key, ETag") == ("Bucket", "Key", "ETag")


@pytest.mark.parametrize(
    ("given", "images", "said"),
    [
        ({"bucket": "vegetables"}, IMAGES, r"is of the bucket vegetables; give one of the bucket of --images s3://fruits/in$"),
        ({}, "file:///images", r"is of the bucket fruits; give one of the bucket of --images file:///images$"),
        ({"schema": "Bucket, Key, Size"}, IMAGES, r"has no etag; have the inventory made with Size and ETag$"),
        ({"schema": "Bucket, Key"}, IMAGES, r"has no size, etag; have"),
    ],
)
def test_a_report_that_cannot_stand_for_a_listing_is_refused(write, given, images, said):
    with pytest.raises(WrongUsage, match=said):
        Inventory.load(write("CSV", [row("in/a.jpg")], **given), images)


@pytest.mark.parametrize("body", [b"{}", b"no JSON", b"[]", b'{"sourceBucket": "fruits", "creationTimestamp": "yesterday"}'])
def test_what_is_no_manifest_is_refused(tmp_path, body):
    objects.write(f"file://{tmp_path}/a/manifest.json", body)
    with pytest.raises(WrongUsage, match=r"manifest\.json: is no manifest of S3 Inventory; give the URI of its manifest\.json$"):
        Inventory.load(f"file://{tmp_path}/a/manifest.json", IMAGES)


def test_an_unknown_format_and_another_prefix_are_refused(write):
    report = Inventory.load(write("CSV", [row("in/a.jpg")]), IMAGES)
    with pytest.raises(WrongUsage, match=r"has the format Avro; give one of CSV, ORC, Parquet$"):
        Inventory(**{**vars(report), "format": "Avro"}).check(IMAGES)
    with pytest.raises(WrongUsage, match=r"names no object below s3://fruits/out; was it made for another prefix\?$"):
        list(report.stats("s3://fruits/out"))


def test_a_file_that_is_not_the_manifests_is_refused(write, tmp_path):
    report = Inventory.load(write("CSV", [row("in/a.jpg")]), IMAGES)
    file = tmp_path / "inventories" / "fruits" / "weekly" / "data" / "0.csv.gz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged, match=r"0\.csv\.gz: has not the MD5 that the inventory's manifest names; give another report"):
        list(report.stats(IMAGES))


@pytest.mark.parametrize("lines", [b"", b'"fruits","in/a.jpg"\n', b'"fruits","in/a.jpg","many","e1"\n'])
def test_a_file_that_is_not_as_the_manifest_says_is_told_of_in_a_line(write, monkeypatch, lines):
    monkeypatch.setitem(FORMATS, "CSV", ("Bucket, Key, Size, ETag", lambda _: gzip.compress(lines), "csv.gz"))
    with pytest.raises(Damaged, match=r"0\.csv\.gz: is not what the inventory's manifest says \(.+\); give another report$"):
        list(Inventory.load(write("CSV", []), IMAGES).stats(IMAGES))


def test_a_disk_that_is_full_is_told_in_a_line(write, monkeypatch):
    report = Inventory.load(write("CSV", [row("in/a.jpg")]), IMAGES)
    monkeypatch.setattr(inventory.tempfile, "TemporaryFile", mock.Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(PlatformFault, match=r"cannot be written \(\[Errno 28\] No space .*\); make room, or name another in"):
        list(report.stats(IMAGES))


@pytest.mark.parametrize("format_", FORMATS)
def test_a_large_file_is_read_a_part_at_a_time(write, monkeypatch, format_):
    monkeypatch.setattr(inventory, "BATCH", 2)
    keys = [f"in/{number}.jpg" for number in range(5)]
    read = list(Inventory.load(write(format_, [row(key) for key in keys]), IMAGES).stats(IMAGES))
    assert [stat.path for stat in read] == [f"s3://fruits/{key}" for key in keys]


def test_reconciliation_by_a_report_takes_neither_newer_rows_nor_what_was_erased_since(write, tmp_path):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    put_rows(root, [objects.Stat(f"{IMAGES}/{name}.jpg", "e1", 7, MADE) for name in ("there", "newer")])
    for name in ("erased", "asked"):
        request = register.request(root, [f"{IMAGES}/{name}.jpg"], requested_by="a person")
        if name == "erased":
            register.complete(root, request)
    asked = ReconcileSettings(
        images=IMAGES, root=root, inventory=write("CSV", [row(f"in/{n}.jpg") for n in ("there", "new", "erased", "asked")])
    )
    found = compare(asked, Current("e", in_full=False), ImageFilter(naming.of(root), "*"))
    assert (found.new, found.gone, found.rows) == ([f"{IMAGES}/new.jpg"], [], 1)


def test_rows_that_were_made_after_the_report_are_not_gone(tmp_path):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    put_rows(root, [objects.Stat(f"{IMAGES}/{name}.jpg", "e1", 7, MADE) for name in ("there", "missing")])
    table, current = Snapshot(root), Current("e", in_full=False)
    asked = ReconcileSettings(images=IMAGES, root=root)
    there = objects.Stat(f"{IMAGES}/there.jpg", "e1", 7, MADE, is_archived=False)
    gone = {}
    for days in (-1, 1):
        rows = row_hashes(table, asked, current, datetime.now(UTC) + timedelta(days=days))
        named = partial(named_rows, asked, current)
        found = differences.compared(differences.of_listing(iter([there]), rows), rows, named, "e")
        gone[days] = found.gone, found.rows
    assert gone == {-1: ([], 1), 1: ([f"{IMAGES}/missing.jpg"], 2)}
