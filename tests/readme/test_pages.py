"""The commands of docs/getting-started.md, run as they stand there; docs/troubleshooting.md against the messages of the code."""

from __future__ import annotations

import re
from pathlib import Path

from fruitpipe.refit import publication
from fruitpipe.runtime import cache
from tests.commands import of_page, run
from tests.pictures import fill, put

CHECKOUT = Path(__file__).parents[2]
TROUBLES = (CHECKOUT / "docs" / "troubleshooting.md").read_text()
COMMANDS = of_page("getting-started.md")
CELLS = re.compile(r"^\| (.+?) \|", re.MULTILINE)


def pictures(folder):
    fill(folder, 4, "Kiwi")
    fill(folder, 4, "Lemon", first=4)
    put(folder / "Kiwi" / "cut.jpg", (folder / "Kiwi" / "0000.jpg").read_bytes()[:-30])


def test_the_commands_for_ones_own_folder_do_what_the_page_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(cache.folder()))  # what is fetched once stays where it is
    monkeypatch.setenv("HOME", str(tmp_path))
    pictures(tmp_path / "pictures")
    said = {}
    for line in COMMANDS["folder"]:
        assert run(line.replace("~", str(tmp_path))) == 0, capsys.readouterr().err
        said[line.split()[1]] = capsys.readouterr().out
    assert said["ingest"].splitlines()[-1] == "ingest: 8 images featurised, 1 failed"
    assert "9: 8 featurised, 1 failed" in said["status"]
    assert said["errors"].split("\t")[2] == "truncated"
    assert said["refit"].splitlines()[-2].startswith("v000001: 8 rows, 2 labels")
    assert Path(said["report"].splitlines()[-1].removeprefix("file://")).is_file()
    assert not list((tmp_path / "pictures").glob("*.*"))


def test_the_commands_for_seeing_how_it_stands_are_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "demo" / "images")
    assert run("fruitpipe ingest --images demo/images --root demo/root --once") == 0
    assert run("fruitpipe refit --root demo/root --no-report") == 0
    for line in COMMANDS["see"]:
        assert run(line) == 0, f"{line}: {capsys.readouterr().err}"
    assert "truncated" in (tmp_path / "demo" / "errors.csv").read_text()
    assert Path(publication.report_uri("demo/root", "v000001")).is_file()


def test_no_command_of_the_page_is_left_without_a_run():
    assert set(COMMANDS) == {"", "folder", "bucket", "see"}
    assert COMMANDS[""] == [". .venv/bin/activate"]


def test_each_message_of_the_page_is_one_of_the_code():
    code = " ".join(path.read_text() for ending in ("py", "js") for path in (CHECKOUT / "fruitpipe").rglob(f"*.{ending}"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    table = TROUBLES.partition("## An image failed")[0]
    messages = [cell for cell in CELLS.findall(table) if "…" in cell]
    assert len(messages) > 15
    parts = [part.strip() for message in messages for part in message.split("…") if part.strip()]
    assert [part for part in parts if part not in code] == []


def test_the_page_explains_every_reason_and_no_other():
    explained = [cell.strip("`") for cell in CELLS.findall(TROUBLES.partition("## An image failed")[2]) if cell.startswith("`")]
    readme = (CHECKOUT / "README.md").read_text()
    assert sorted(explained) == sorted(re.findall(r"`([a-z-]+)`", readme.partition("is a row with a reason:")[2]))
