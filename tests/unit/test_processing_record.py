"""The record of processing activities (GDPR, article 30), from a root's own settings."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fruitpipe import cli, objects
from fruitpipe.erasure import register
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
