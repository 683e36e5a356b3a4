"""The jobs as commands: the same flags, help and exit codes as the scripts for spark-submit."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import typer

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

    def started(run_job, settings_type, arguments):
        called.append((run_job.__name__, settings_type, arguments))
        return 130

    monkeypatch.setattr(job, "run", started)
    given = ["--root", "r", "--once", "-x", "--variance=0.9", "--", "--help"]
    assert run(name, *given) == 130
    assert called == [(name, JOBS[name][0], given)]


def test_wrong_usage_of_a_job_is_one_line_and_exit_code_2(capsys, monkeypatch):
    monkeypatch.delenv("FRUITPIPE_ROOT", raising=False)
    assert run("refit", "--variance", "7", "--root", "r") == 2
    assert capsys.readouterr().err == "error: --variance 7: input should be less than or equal to 1\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fruitpipe ref", ["refit"]),
        ("fruitpipe ingest --o", ["--once"]),
        ("fruitpipe ingest --source ", ["prefix", "events"]),
        ("fruitpipe refit --co", ["--components"]),
    ],
)
def test_the_shell_completes_commands_flags_and_values(words, expected):
    shell = {"_FRUITPIPE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    command = str(Path(sys.executable).with_name("fruitpipe"))
    answer = subprocess.run([command], env=shell, capture_output=True, text=True, check=True)
    assert sorted(answer.stdout.splitlines()) == sorted(expected)


def test_what_needs_spark_says_so_in_one_line_where_it_was_not_installed():
    code = "import sys; sys.modules['pyspark'] = None; from fruitpipe import cli; cli.main(['ingest', '--root', 'r'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "error: this needs Spark, and pyspark is missing; run: pip install 'fruitpipe[spark]'\n"


def test_help_groups_all_commands(capsys):
    assert run("--help") == 0
    groups = re.findall(r"^╭─ ([\w ]+?) ─", capsys.readouterr().out, re.MULTILINE)
    assert groups == ["Options", "Run", "Look", "Repair", "GDPR", "Model"]


def test_the_version_is_the_packages(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == "fruitpipe 0.1.0\n"


def test_each_command_that_a_message_names_is_there():
    """A reader with the wheel has the one command, and neither the scripts nor the modules to start."""
    known = set(typer.main.get_command(cli.app).commands)
    source = {path: path.read_text() for path in (CHECKOUT / "fruitpipe").rglob("*.py")}
    named = {name for text in source.values() for name in re.findall(r"(?:run|them|it|next|or|`)[: ]*fruitpipe ([a-z]+)", text)}
    assert {"ingest", "refit", "reconcile", "jars", "model"} <= named
    assert named - known == set()
    elsewhere = re.compile(r"python -m |(?:streaming|batch)/\w+\.py")
    assert [str(path) for path, text in source.items() if elsewhere.search(text)] == []
