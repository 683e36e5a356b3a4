"""The README's commands are run as they stand there, in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command printed, by command; the folder demo/ is a temporary one."""
    folder = tmp_path_factory.mktemp("readme")
    return {command: run(command, folder) for command in COMMANDS if command not in ("make test", ". .venv/bin/activate")}


def run(command, folder):
    command = command.replace("demo/", f"{folder}/demo/")
    if command == "make demo":
        command = f"make demo DEMO={folder}/demo"
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of a make that runs the tests
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stderr[-2000:]}"
    return done.stdout


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
