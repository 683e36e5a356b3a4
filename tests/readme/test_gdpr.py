"""docs/gdpr.md: the commands, flags and tests that it names for each requirement are there."""

from __future__ import annotations

import re

import pytest
import typer

from fruitpipe.cli.commands import app
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings
from tests.commands import CHECKOUT

PAGE = (CHECKOUT / "docs" / "gdpr.md").read_text()
ROWS = [
    line
    for line in PAGE.partition("## Which requirement is served by what")[2].splitlines()
    if re.match(r"\| (?:\d|v1\.0-C8)", line)
]
JOBS = {"ingest": IngestSettings, "refit": RefitSettings, "reconcile": ReconcileSettings}
TESTS = sorted(set(re.findall(r"`(tests/[\w/.]+\.py(?:::\w+)?)`", PAGE)))


def test_each_article_and_each_requirement_of_the_chapter_has_a_row_with_a_command_and_a_test():
    assert {re.match(r"\| ([\w.-]+)", row)[1] for row in ROWS} == {
        *("5", "15", "17", "20", "30"),
        *("v1.0-C8.3.1", "v1.0-C8.3.2", "v1.0-C8.3.3"),
    }
    for row in ROWS:
        _, _, _, command, shown, _ = row.split("|")
        assert re.search(r"`fruitpipe [a-z]+", command), row
        assert "::test_" in shown, row


@pytest.mark.parametrize("named", TESTS)
def test_the_test_is_there(named):
    file, _, name = named.partition("::")
    assert re.search(rf"^def {name}\(" if name else "", (CHECKOUT / file).read_text(), re.MULTILINE)


def test_each_command_of_the_page_and_each_of_its_flags_is_there():
    commands = typer.main.get_command(app).commands
    named = re.findall(r"`?fruitpipe ([a-z]+)((?: --[a-z-]+)*)", PAGE)
    assert len(named) > 15
    for name, flags in named:
        assert name in commands, name
        options = {option for parameter in commands[name].params for option in parameter.opts}
        options |= {f"--{field.replace('_', '-')}" for field in JOBS[name].model_fields} if name in JOBS else set()
        assert set(flags.split()) <= options, (name, flags)
