"""The jobs as commands: the same flags, help and exit codes as the scripts for spark-submit."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fruitpipe import cli
from fruitpipe.operations import job
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings

CHECKOUT = Path(__file__).parents[2]
JOBS = {
    "ingest": (IngestSettings, "streaming/ingest.py"),
    "reconcile": (ReconcileSettings, "batch/reconcile.py"),
    "refit": (RefitSettings, "batch/refit.py"),
}
each_job = pytest.mark.parametrize("name", JOBS)


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code


@each_job
def test_a_command_and_its_script_explain_the_same_flags(name, capsys, monkeypatch):
    settings, script = JOBS[name]
    assert run(name, "--help") == 0
    explained = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(CHECKOUT / script), run_name="__main__")
    assert capsys.readouterr().out == explained
    assert explained.startswith(f"usage: fruitpipe {name} ")
    flags = {f"--{field.replace('_', '-')}" for field in settings.model_fields}
    assert flags <= set(re.findall(r"--[a-z0-9-]+", explained))


@each_job
def test_a_command_hands_its_arguments_over_and_ends_with_the_jobs_exit_code(name, monkeypatch):
    called = []

    def started(_run_job, settings_type, arguments):
        called.append((settings_type, arguments))
        return 130

    monkeypatch.setattr(job, "run", started)
    given = ["--root", "r", "--once", "-x", "--variance=0.9", "--", "--help"]
    assert run(name, *given) == 130
    assert called == [(JOBS[name][0], given)]


@each_job
def test_a_command_calls_the_job_of_its_name_with_its_settings(name, monkeypatch):
    called = []
    monkeypatch.setattr(f"fruitpipe.jobs.{name}.{name}", called.append)
    images = [] if name == "refit" else ["--images", "s3://b/images"]
    assert run(name, "--root", "s3://b/root", "--regions", "any", *images) == 0
    (settings,) = called
    assert (type(settings), settings.root) == (JOBS[name][0], "s3://b/root")


@each_job
def test_the_help_of_a_job_says_what_has_to_be_given_and_no_default_that_says_nothing(name, capsys):
    assert run(name, "--help") == 0
    explained = " ".join(capsys.readouterr().out.split())
    required = ["--root"] if name == "refit" else ["--root", "--images"]
    assert [flag for flag in required if f"[{flag} " in explained or f" {flag} str " not in explained] == []
    assert re.findall(r"\(default: (?:None|False)?\)", explained) == []
    assert "(required)" in explained
    assert "[--regions str]" in explained


def test_wrong_usage_of_a_job_is_one_line_and_exit_code_2(capsys, monkeypatch):
    monkeypatch.delenv("FRUITPIPE_ROOT", raising=False)
    assert run("refit", "--variance", "7", "--root", "r") == 2
    assert capsys.readouterr().err == "error: --variance 7: input should be less than or equal to 1\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fruitpipe ref", ["refit"]),
        ("fruitpipe ingest --o", ["--once", "--openlineage-url"]),
        ("fruitpipe ingest --source ", ["prefix", "events"]),
        ("fruitpipe refit --co", ["--components"]),
    ],
)
def test_the_shell_completes_commands_flags_and_values(words, expected):
    shell = {"_FRUITPIPE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    command = str(Path(sys.executable).with_name("fruitpipe"))
    answer = subprocess.run([command], env=shell, capture_output=True, text=True, check=True)
    assert sorted(answer.stdout.splitlines()) == sorted(expected)


WITHOUT_SPARK = "import sys; sys.modules['pyspark'] = None; from fruitpipe import cli; cli.main(sys.argv[1:])"


def test_what_needs_spark_says_so_in_one_line_where_it_was_not_installed():
    for command in (["ingest", "--root", "r", "--images", "i"], ["report", "--root", "r"]):
        ended = subprocess.run([sys.executable, "-c", WITHOUT_SPARK, *command], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert ended.stderr == "error: this needs Spark, and pyspark is missing; run: pip install 'fruitpipe[spark]'\n"
    ingest = [sys.executable, "-c", WITHOUT_SPARK, "ingest"]
    explained = subprocess.run([*ingest, "--help"], capture_output=True, text=True, check=True)
    assert explained.stdout.startswith("usage: fruitpipe ingest ")


def test_help_groups_all_commands(capsys):
    assert run("--help") == 0
    groups = re.findall(r"^╭─ ([\w ]+?) ─", capsys.readouterr().out, re.MULTILINE)
    assert groups == ["Options", "Run", "Look", "Repair", "GDPR", "Model"]


def test_the_version_is_the_packages(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == "fruitpipe 0.1.0\n"


def test_no_message_names_a_script_or_a_module_to_start():
    """A reader with the wheel has the one command, and no checkout."""
    source = {path: path.read_text() for path in (CHECKOUT / "fruitpipe").rglob("*.py")}
    elsewhere = re.compile(r"python -m |(?:streaming|batch)/\w+\.py|(?<!in a checkout: )make (?:deploy|destroy)")
    assert [str(path) for path, text in source.items() if elsewhere.search(text)] == []
