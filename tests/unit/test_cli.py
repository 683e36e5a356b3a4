"""The command line: exit codes, one line for each error, no traceback."""

import json
import subprocess
import sys

import pytest

from fruitpipe import cli, objects, settings
from fruitpipe.errors import NotFound, WrongModel
from fruitpipe.extractor import build
from fruitpipe.refit import publication, rollback, version_model
from fruitpipe.refit.pointer import Hold, Pointer
from fruitpipe.root import layout
from fruitpipe.table import delta
from tests.rows import empty_table


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code


def test_sample_draws_and_says_how_many(tmp_path, capsys):
    assert run("sample", str(tmp_path), "--labels", "2", "--images-per-label", "3") == 0
    assert "6" in capsys.readouterr().out
    assert len(list(tmp_path.rglob("*.jpg"))) == 6


@pytest.mark.parametrize(("place", "hint"), [("s3://bucket/images", "aws s3 cp"), ("gs://bucket", "local folder")])
def test_sample_draws_into_a_local_folder_only(tmp_path, monkeypatch, capsys, place, hint):
    monkeypatch.chdir(tmp_path)
    assert run("sample", place) == 2
    assert hint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_sample_takes_the_uri_of_a_local_folder(tmp_path):
    assert run("sample", f"file://{tmp_path}/images", "--labels", "1", "--images-per-label", "1") == 0
    assert (tmp_path / "images" / "Apple Red" / "0000.jpg").is_file()


def test_wrong_usage_exits_with_2_and_one_line(tmp_path, capsys):
    assert run("sample", str(tmp_path), "--labels", "99") == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("error: ")


@pytest.mark.parametrize("arguments", [["sample"], ["nonsense"], ["rollback", "v000001"], ["sample", "x", "--labels", "many"]])
def test_a_command_line_that_does_not_parse_exits_with_2(arguments, monkeypatch):
    monkeypatch.delenv("FRUITPIPE_ROOT", raising=False)
    assert run(*arguments) == 2


def test_a_failure_exits_with_1_and_one_line(monkeypatch, capsys):
    def refuse(path, _precision):
        raise WrongModel(f"{path}: wrong digest")

    monkeypatch.setattr(build, "build", refuse)
    assert run("model", "build", "m.tflite") == 1
    assert capsys.readouterr().err == "error: m.tflite: wrong digest\n"


def test_the_model_is_built_where_the_jobs_look_for_it_unless_told_otherwise(monkeypatch):
    built = []
    monkeypatch.setattr(build, "build", lambda *arguments: built.append(arguments))
    assert run("model", "build") == run("model", "build", "m.tflite") == run("model", "build", "--extractor", "int8") == 0
    assert built == [
        (settings.default_model(), "float32"),
        ("m.tflite", "float32"),
        (settings.default_model("int8"), "int8"),
    ]


def held_at(version):
    return Pointer(version, ("v000012", "v000013"), Hold("2026-11-05T10:00:00+00:00", "v000013"))


def test_rollback_names_root_and_version_and_says_how_the_hold_ends(monkeypatch, capsys):
    monkeypatch.setattr(rollback, "roll_back", lambda _root, version: held_at(version))
    assert run("rollback", "--root", "somewhere", "v000012") == 0
    assert capsys.readouterr().out == (
        "somewhere: v000012 is the current version; "
        "v000012 is held since 2026-11-05 10:00 UTC, until fruitpipe release --root somewhere\n"
    )


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (held_at("v000012"), "somewhere: v000012 is no longer held; readers keep it until the next refit\n"),
        (Pointer("v000012", ("v000012",)), "somewhere: v000012 is not held; nothing is to be released\n"),
    ],
)
def test_release_says_what_readers_get(monkeypatch, capsys, before, said):
    monkeypatch.setattr(rollback, "release", lambda _root: before)
    assert run("release", "--root", "somewhere") == 0
    assert capsys.readouterr().out == said


def test_rollback_of_nothing_fails_in_one_line(monkeypatch, capsys):
    def refuse(root, version):
        raise NotFound(f"{root} has no {version}")

    monkeypatch.setattr(rollback, "roll_back", refuse)
    assert run("rollback", "--root", "r", "v000001") == 1
    assert capsys.readouterr().err == "error: r has no v000001\n"


def test_a_bug_is_not_dressed_up_as_a_users_mistake(monkeypatch):
    def broken(_path, _precision):
        raise ZeroDivisionError

    monkeypatch.setattr(build, "build", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["model", "build", "m.tflite"])


def test_help_loads_nothing_heavy():
    heavy = "('numpy', 'PIL', 'tensorflow', 'boto3', 'pyspark')"
    code = f"import sys, fruitpipe.cli.commands; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


WITHOUT_PLOTLY = "import sys; sys.modules['plotly'] = None; sys.modules['sklearn'] = None; "


def test_what_a_command_needs_and_lacks_is_named_in_one_line(tmp_path):
    told = f"from fruitpipe import cli; cli.main(['report', '--root', '{tmp_path}'])"
    ended = subprocess.run([sys.executable, "-c", WITHOUT_PLOTLY + told], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "install fruitpipe[see]" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_refit_without_a_report_needs_none_of_its_libraries():
    subprocess.run([sys.executable, "-c", WITHOUT_PLOTLY + "import fruitpipe.jobs.refit"], check=True)


def test_the_errors_of_a_table_of_which_a_file_is_lost_are_not_none(tmp_path, capsys):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    lost = {"path": "part-1.parquet", "partitionValues": {}, "size": 9, "modificationTime": 0, "dataChange": True}
    stats = {"numRecords": 3, "nullCount": {"error": 3}}  # by which no query for errors would open it
    body = json.dumps({"add": lost | {"stats": json.dumps(stats)}}).encode()
    objects.write(delta.file_uri(root, f"_delta_log/{1:020}.json"), body)
    assert run("errors", "--root", root) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "part-1.parquet is missing, with 3 rows; run fruitpipe reconcile" in said.err


def test_a_csv_of_errors_is_not_put_where_each_job_would_then_refuse_the_root(tmp_path, capsys):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    assert run("errors", "--root", root, "--csv", f"{tmp_path}/root/errors.csv") == 2
    assert "errors.csv lies in the root, whose files are the pipeline's; give a place outside" in capsys.readouterr().err
    for place in (f"{tmp_path}/errors.csv", f"{root}/reports/errors.csv"):
        assert run("errors", "--root", root, "--csv", place) == 0
        assert objects.exists(objects.canonical(place))
    layout.check(root)


def test_status_names_a_file_that_the_published_version_lacks(tmp_path, capsys):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    facts = {"version": "v000001", "k": 3, "variance_kept": 0.95, "rows": 2, "created_at": "2026-11-29T20:00:00+00:00"}
    with publication.attempt(root) as version:
        objects.write(
            f"{version_model.model_uri(root, version)}/reduction.json",
            json.dumps(facts | {"files": {"part-0.parquet": 7}}).encode(),
        )
        publication.switch(root, version)
    assert run("status", "--root", root, "--json") == 0
    (damaged,) = json.loads(capsys.readouterr().out)["damaged"]
    assert "reduced/v000001/part-0.parquet: is missing" in damaged
