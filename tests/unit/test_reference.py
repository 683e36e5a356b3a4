"""The page of commands and settings, against what the commands themselves say of their flags."""

from __future__ import annotations

import re

import pytest

from tests.commands import heard
from website import reference

FLAGS = re.compile(r"^[│* ]+(--[a-z0-9-]+)(?:,? +(--[a-z0-9-]+))?", re.MULTILINE)


@pytest.fixture(scope="module")
def sections():
    """Command → its part of the page."""
    _, *parts = reference.page().split("\n## fruitpipe ")
    return {part.partition("\n")[0]: part for part in parts}


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


def helped(command):
    return heard(f"fruitpipe {command} --help").stdout


def names_of(part):
    """The commands that a help lists below its options."""
    return re.findall(r"^│ ([a-z]+) +[A-Z]", part, re.MULTILINE)


def test_the_page_has_each_command_of_the_help_and_no_other(sections):
    groups = set(names_of(helped("")))
    below = [f"model {name}" for name in names_of(helped("model"))]
    assert len(groups) > 10
    assert sorted(sections) == sorted([*groups - {"model"}, *below])


def test_the_page_has_each_flag_of_a_commands_help_and_no_other(sections):
    for command, part in sections.items():
        said = {flag for pair in FLAGS.findall(helped(command)) for flag in pair if flag} - {"--help"}
        rows = {flag for row in re.findall(r"^\| (.*?) \|", part, re.MULTILINE) for flag in re.findall(r"`(--[a-z0-9-]+)`", row)}
        assert rows == said, command


def test_the_page_says_of_a_setting_its_variable_bounds_and_default(sections):
    (row,) = re.findall(r".*`--max-image-seconds`.*", sections["ingest"])
    assert row == (
        "| `--max-image-seconds`<br>`FRUITPIPE_MAX_IMAGE_SECONDS` | number, > 0, ≤ 3600 | `30` "
        "| an image that takes longer to decode becomes a row with the reason too-slow |"
    )
    assert "| `--source`<br>`FRUITPIPE_SOURCE` | `prefix` or `events` | `prefix` |" in sections["ingest"]
    assert "| `--seconds` | number, ≥ 0.1 | `5` |" in sections["status"]
    assert "| `PICTURE...` | text | **required** |" in sections["identify"]
