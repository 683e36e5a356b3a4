"""Status and errors without Spark, on a table that Spark wrote; counted against what was put there."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fruitpipe import cli
from fruitpipe.jobs.ingest import ingest
from fruitpipe.operations import status
from fruitpipe.settings import IngestSettings
from fruitpipe.table import snapshot
from tests.pictures import fill, jpeg, put


def eight(images):
    """Six images of Kiwi, one cut short, one of text whose name and label need quoting."""
    fill(images, 6)
    put(images / "Kiwi" / "cut.jpg", jpeg(0)[:-40])
    put(images / "Pomme d'api" / "l'été.jpg", b"no picture")


@pytest.fixture(scope="module")
def written(spark, tmp_path_factory):  # noqa: ARG001 - the job finds the session that is there
    """A root with the rows of those images, for what reads and changes nothing."""
    folder = tmp_path_factory.mktemp("status")
    eight(folder / "images")
    with contextlib.redirect_stdout(io.StringIO()):
        ingest(IngestSettings(images=str(folder / "images"), root=f"file://{folder}/root", once=True))
    return f"file://{folder}/root"


@pytest.fixture
def ingested(spark, root, tmp_path, capsys):  # noqa: ARG001 - the job finds the session that is there
    """Brings those images, and what is added to them, to a table of the test's own."""
    images = tmp_path / "images"
    eight(images)

    def run(**settings):
        ingest(IngestSettings(images=str(images), root=root, once=True, **settings))
        return capsys.readouterr().out

    run()
    return run


def called(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code in (None, 0)


def test_status_counts_what_was_ingested(written, capsys):
    called("status", "--root", written, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["featurised"], told["failed"], told["not_in_current"]) == (8, 6, 2, 6)
    assert told["labels"] == {"Kiwi": 7, "Pomme d'api": 1}
    assert told["errors"] == {"not-an-image": 1, "truncated": 1}
    assert told["last_batch"]["images"] == 8
    assert 0 <= told["last_batch"]["median_lag_seconds"] <= told["last_batch"]["largest_lag_seconds"] < 600
    assert (told["current"], told["versions"]) == (None, [])
    features = Path(written.removeprefix("file://"), "features")
    assert told["storage_bytes"]["features"] == sum(path.stat().st_size for path in features.rglob("*") if path.is_file())


def test_the_last_batch_is_the_one_that_brought_rows_last(ingested, root, tmp_path):
    put(tmp_path / "images" / "Lemon" / "new.jpg", (tmp_path / "images" / "Kiwi" / "cut.jpg").read_bytes())
    ingested()
    now = status.of(snapshot.Snapshot(root))
    assert (now.images, now.last_batch.images, now.labels["Lemon"]) == (9, 1, 1)
    assert now.last_batch.outcomes == {"failed": 1}
    (tmp_path / "images" / "Lemon" / "new.jpg").unlink()
    ingested(allow_removals=True)
    last = status.of(snapshot.Snapshot(root)).last_batch
    assert (last.images, last.outcomes, last.median_lag_seconds) == (1, {"gone": 1}, None)


def test_errors_are_listed_by_reason_and_label(written, capsys):
    called("errors", "--root", written)
    assert [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()] == ["truncated", "not-an-image"]
    called("errors", "--root", written, "--label", "Pomme d'api", "--json")
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["error"], row["length"]) == ("not-an-image", 10)
    called("errors", "--root", written, "--reason", "truncated", "--label", "Pomme d'api")
    assert capsys.readouterr().out == ""


def test_errors_are_exported_as_csv(written, tmp_path):
    called("errors", "--root", written, "--csv", str(tmp_path / "bad.csv"))
    with (tmp_path / "bad.csv").open(newline="") as file:
        assert {(row["label"], row["error"]) for row in csv.DictReader(file)} == {
            ("Kiwi", "truncated"),
            ("Pomme d'api", "not-an-image"),
        }


def test_retry_has_the_stream_look_at_what_was_mended_in_place(ingested, root, tmp_path, capsys):
    put(tmp_path / "images" / "Kiwi" / "cut.jpg", jpeg(99))  # and no event tells
    assert ingested(source="events").splitlines()[-1] == "ingest: 0 images featurised, 0 failed"
    called("errors", "--root", root, "--retry")
    assert "2 images again" in capsys.readouterr().out
    assert ingested(source="events").splitlines()[-1] == "ingest: 1 images featurised, 1 failed"
    assert status.of(snapshot.Snapshot(root)).errors == {"not-an-image": 1}


def test_a_root_without_a_table_is_a_line_and_not_a_traceback(tmp_path, capsys):
    for command in ("status", "errors"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--root", str(tmp_path)])
        assert ended.value.code == 1
        assert "run fruitpipe ingest" in capsys.readouterr().err


def test_neither_needs_spark(written):
    code = (
        "import sys; from fruitpipe import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "finally: print('pyspark' in sys.modules, file=sys.stderr)"
    )
    for command in ("status", "errors"):
        answer = subprocess.run(
            [sys.executable, "-c", code, command, "--root", written], capture_output=True, text=True, check=True
        )
        assert answer.stderr == "False\n"
        assert answer.stdout
