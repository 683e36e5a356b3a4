"""The commands of docs/operations.md that need no AWS are run as they stand there; the tables of docs/costs.md are computed."""

import contextlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import CHECKOUT, heard

DOCS = CHECKOUT / "docs"
COMMANDS = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", (DOCS / "operations.md").read_text(), re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command printed, in the page's order; the folder demo/ is a temporary one."""
    with contextlib.chdir(tmp_path_factory.mktemp("operations")):
        return [(command, output(command)) for command in COMMANDS]


def output(command):
    if command.startswith("rm "):
        subprocess.run(shlex.split(command), check=True)
        return ""
    ended = heard(command)
    assert (ended.code, ended.stderr) == (0, ""), f"{command}: {ended.stderr}"
    return ended.stdout


def outputs(said, beginning):
    return [output for command, output in said if command.startswith(beginning)]


def test_each_command_does_what_the_page_says(said):
    summaries = [output.splitlines()[-1] for output in outputs(said, "fruitpipe ingest")]
    assert summaries == [
        "ingest: 18 images featurised, 0 failed",
        "ingest: 0 images featurised, 0 failed",
        "ingest: 18 images featurised, 0 failed",  # another root
        "ingest: 0 images featurised, 0 failed, 18 unchanged",  # the lost checkpoint
        "ingest: 18 images featurised, 0 failed",  # the lost table
    ]
    versions = [re.search(r"^(v\d+): 18 rows", output, re.MULTILINE)[1] for output in outputs(said, "fruitpipe refit")]
    assert versions == ["v000001", "v000001", "v000002", "v000003"]
    (rolled_back,) = outputs(said, "fruitpipe rollback")
    assert "v000001 is the current version" in rolled_back
    (examined,) = outputs(said, "fruitpipe doctor")
    assert [line.split()[1] for line in examined.splitlines() if line.startswith("FAIL")] == []


def test_the_costs_are_what_the_factors_come_to():
    answer = subprocess.run([sys.executable, "benchmarks/costs.py"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    page = (DOCS / "costs.md").read_text()
    lines = [line for line in answer.stdout.splitlines() if line]
    assert len(lines) == 18
    assert [line for line in lines if line not in page] == []


def test_the_parameters_that_the_docs_and_the_example_name_are_the_templates():
    template = (CHECKOUT / "deploy" / "template.yaml").read_text()
    declared = set(re.findall(r"^  (\w+):\n    Type: (?:String|Number)", template, re.MULTILINE))
    pages = "".join(Path(DOCS, name).read_text() for name in ("operations.md", "costs.md"))
    example = (CHECKOUT / "deploy" / "parameters.toml").read_text()
    named = set(re.findall(r"^(\w+) = ", example.partition("[parameters]")[2], re.MULTILINE)) | set(
        re.findall(r"`([A-Z][a-z]\w+)(?: = [^`]*)?`", pages)
    )
    assert {"MonthlyBudgetUsd", "CoreNodes", "Stream"} <= named
    assert named - declared == set()
