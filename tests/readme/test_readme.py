"""The README's commands are run as they stand there, in its order."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess

import pytest

from tests.commands import CHECKOUT, heard

README = (CHECKOUT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command printed, by command; the folder demo/ is a temporary one."""
    folder = tmp_path_factory.mktemp("readme")
    printed = {"make demo": make("demo", f"DEMO={folder}/demo")}
    with contextlib.chdir(folder):
        for command in COMMANDS:
            if command.startswith("fruitpipe "):
                ended = heard(command)
                assert (ended.code, ended.stderr) == (0, ""), f"{command}: {ended.stderr}"
                printed[command] = ended.stdout
    return printed


def make(*arguments):
    """What make prints, in the checkout."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "SPARK_CONF_DIR")  # of a make that runs the tests, and of the tests
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(["make", *arguments], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    return done.stdout


def test_no_command_of_the_readme_is_left_without_a_run(said):
    assert {command for command in COMMANDS if command not in said} == {"make test", ". .venv/bin/activate"}


def test_the_demo_computes_each_picture_once_and_prints_k(said):
    lines = said["make demo"].splitlines()
    assert [line for line in lines if line.startswith("ingest:")] == [
        "ingest: 240 images featurised, 0 failed",
        "ingest: 24 images featurised, 0 failed",
    ]
    assert any(re.match(r"v000001: 264 rows, 12 labels; k = \d+ keeps 9[5-9]\.\d+ % of the variance", line) for line in lines)


def test_the_other_commands_do_what_the_readme_says_of_them(said):
    last_lines = {command.split("#")[0].strip(): output.splitlines()[-1] for command, output in said.items()}
    assert last_lines["fruitpipe ingest --images demo/images --root demo/root --once"].startswith("ingest: 0 images")
    reconciled = said[next(command for command in said if "reconcile" in command)]
    assert reconciled.startswith("reconcile: 0 new, 0 changed, 0 gone")
    assert "k = 20 keeps" in said["fruitpipe refit --root demo/root --components 20"]


def test_the_folders_that_the_readme_names_are_there():
    named = re.findall(r"^\| `([^`]+)`", README, re.MULTILINE)
    assert named
    assert [name for name in named if not (CHECKOUT / name).exists()] == []
