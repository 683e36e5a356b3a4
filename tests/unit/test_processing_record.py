"""The record of processing activities (GDPR, article 30), from a root's own settings."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fruitpipe import cli, objects
from fruitpipe.erasure import register
from fruitpipe.errors import AccessDenied
from fruitpipe.export import register as exports
from fruitpipe.objects import s3_connection
from fruitpipe.operations import processing_record
from fruitpipe.pictures import naming
from fruitpipe.root import layout
from tests.rows import empty_table, put_rows
from tests.versions import publish


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ("VACUUM_HOURS", "ERASURE_GRACE_HOURS", "REJECTED_DAYS"):
        monkeypatch.delenv(f"FRUITPIPE_{name}", raising=False)
    (tmp_path / "root").mkdir(mode=0o750)
    return f"file://{tmp_path}/root"


def recorded(root, capsys, *flags):
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--record", "--root", root, *flags])
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    return said.out


def fill(root, images):
    empty_table(root)
    stats = [objects.Stat(f"{images}/{label}/1.jpg", "e", 1, datetime.now(UTC)) for label in ("Kiwi", "Lime")]
    put_rows(root, stats, error="truncated")
    publish(root)
    naming.keep(root, naming.Naming(naming.HOLDER, (images,)))
    record = register.request(root, [stats[0].path], requested_by="somebody")
    register.save(root, replace(record, status="done"))
    register.request(root, [stats[1].path], requested_by="somebody")


def test_it_tells_what_a_folder_holds_for_how_long_and_what_a_person_has_to_add(root, tmp_path, capsys, monkeypatch):
    images = f"file://{tmp_path}/images"
    fill(root, images)
    monkeypatch.delenv("FRUITPIPE_IMAGES_WITHOUT_SPARK", raising=False)  # the tests' own
    monkeypatch.setenv("FRUITPIPE_VACUUM_HOURS", "24")
    told = json.loads(recorded(root, capsys, "--json"))
    assert [title[:3] for title in list(told)[1:]] == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)", "(g)"]
    assert f"pictures: {images}" in told["(c) data subjects and data"]
    assert "held now: 2 rows, 2 labels, 2 rows without features" in told["(c) data subjects and data"]
    assert told["(d) recipients"] == ["none: everything stays on this machine, and nothing is sent elsewhere"]
    assert told["(e) transfers to third countries"] == ["none: no bucket is used"]
    limits = "\n".join(told["(f) time limits"])
    assert "no longer needs 24 h, those of erased rows 1 h" in limits
    assert f"{root}/rejected: 30 days" in limits
    assert "removes the version; 1 are published" in limits
    assert "settings of a stream: FRUITPIPE_VACUUM_HOURS=24; its own flags may say otherwise" in limits
    assert "erasures: 1 done, 1 requested" in limits
    assert all(f"{root}/{place}: " in limits for place in layout.FOLDERS)
    assert any(
        line.startswith(f"{root}: a folder of user ") and line.endswith("drwxr-x---") for line in told["(g) security measures"]
    )


def test_for_people_it_is_text_with_lines_to_fill_in_and_it_names_no_image(root, tmp_path, capsys):
    fill(root, f"file://{tmp_path}/images")
    said = recorded(root, capsys)
    assert said.startswith("record of processing activities, GDPR, article 30 (1)\n")
    assert said.count("to be filled in: ") == 5
    assert ".jpg" not in said


def test_before_there_is_anything_it_says_so(root, capsys):
    said = recorded(root, capsys)
    assert "held now: no table yet" in said
    assert "no prefix was ingested so far" in said


def test_a_setting_of_the_environment_that_is_wrong_is_named(root, capsys, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_VACUUM_HOURS", "much")
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--record", "--root", root])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: FRUITPIPE_VACUUM_HOURS: Input should be a valid integer")


def test_the_tables_log_is_told_to_last_as_long_as_the_setting_has_it(root, capsys, monkeypatch):
    assert "its log 7 days behind a checkpoint" in recorded(root, capsys)
    monkeypatch.setenv("FRUITPIPE_VACUUM_HOURS", "768")
    assert "its log 32 days behind a checkpoint" in recorded(root, capsys)


def test_apps_are_recipients_transfers_and_have_a_time_limit(root, capsys, monkeypatch):
    exports.add(root, exports.Export("s3://shop/app", "v000001-01234567", "v000001"))
    monkeypatch.setattr(objects, "server", lambda: "AWS")
    monkeypatch.setattr(objects, "region", lambda _: "us-west-2")
    told = json.loads(recorded(root, capsys, "--json"))
    uri = "s3://shop/app/v000001-01234567"
    assert [line for line in told["(d) recipients"] if line.startswith(uri)] == [
        f"{uri}: to be filled in: who may load this app of v000001 (sums of features by label, no picture and no name)"
    ]
    assert told["(e) transfers to third countries"] == [
        "s3://shop: us-west-2, outside the Union; to be filled in: the safeguards (article 46)"
    ]
    assert [line for line in told["(f) time limits"] if line.startswith(f"{uri}: until it is written again")]
    exports.add(root, exports.Export("s3vectors://shop/fruits", "fruits-v000001", "v000001", exports.VECTORS))
    told = json.loads(recorded(root, capsys, "--json"))
    who = "s3vectors://shop/fruits-v000001: to be filled in: who may load this S3 Vectors index of v000001"
    assert f"{who} (names, labels and reduced features)" in told["(d) recipients"]
    assert "s3vectors://shop/fruits: to be filled in: the region" in told["(e) transfers to third countries"]
    objects.write(f"{root}/models/exports.json", b"[{")
    (said,) = [line for line in json.loads(recorded(root, capsys, "--json"))["(d) recipients"] if line.startswith("apps")]
    assert said.startswith("apps and published copies: unknown: ")


def test_where_a_bucket_lies_is_unknown_where_nobody_says_it(monkeypatch):
    def refuses(uri):
        raise AccessDenied(f"{uri}: access is denied (403)")

    lies_in = processing_record._lies_in
    monkeypatch.setattr(objects, "server", lambda: "http://minio:9000")
    monkeypatch.setattr(objects, "region", lambda _: "us-east-1")
    assert lies_in("b") == "unknown: http://minio:9000 does not say where it is; to be filled in: the country"
    monkeypatch.setattr(objects, "region", refuses)
    assert lies_in("b") == "unknown: s3://b: access is denied (403); to be filled in: the region"
    monkeypatch.setattr(objects, "region", lambda _: "eu-west-3")
    assert lies_in("b") == "eu-west-3, in the European Union"


@pytest.mark.parametrize("of", ["", "endpoint_url = http://minio:9000\n"])
def test_who_stores_the_buckets_is_told_whichever_setting_names_the_server(tmp_path, monkeypatch, of):
    (tmp_path / "config").write_text(f"[default]\nregion = eu-west-1\n{of}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    s3_connection.connection.cache_clear()
    assert objects.server() == ("http://minio:9000" if of else "AWS")
    s3_connection.connection.cache_clear()
