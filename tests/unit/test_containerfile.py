"""The container image's file: what it copies is there, what it installs is pinned and ours, and its user has no rights."""

from __future__ import annotations

import fnmatch
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.commands import heard

CHECKOUT = Path(__file__).parents[2]
TEXT = re.sub(r"\s*\\\n\s*", " ", (CHECKOUT / "deploy" / "Containerfile").read_text())
STEPS = [tuple(line.split(" ", 1)) for line in TEXT.splitlines() if line and not line.startswith("#")]
COMMANDS = [command for step, text in STEPS if step == "RUN" for command in text.split(" && ")]
SENT = re.findall(r"^!(.+)", (CHECKOUT / ".dockerignore").read_text(), re.MULTILINE)


def test_what_is_copied_is_in_the_checkout_and_sent_to_the_builder():
    copied = [source for step, text in STEPS if step == "COPY" and "--from" not in text for source in text.split()[:-1]]
    assert {"constraints.txt", "fruitpipe"} <= set(copied)
    assert [source for source in copied if not (CHECKOUT / source).exists()] == []
    assert sorted(copied) == sorted(SENT)


def test_nothing_that_a_checkout_may_hold_beside_its_sources_is_sent_to_the_builder():
    first, *_ = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert first == "*"
    assert [
        name for name in (".git", ".env", "my.toml", "demo", ".venv") if any(fnmatch.fnmatch(name, one) for one in SENT)
    ] == []


def test_the_image_installs_by_the_pins_and_with_extras_that_there_are():
    (install,) = [shlex.split(command) for command in COMMANDS if command.startswith("pip install")]
    assert install[install.index("--constraint") + 1] == "/build/constraints.txt"
    extras = set(re.search(r"\[(.+)\]", install[-1]).group(1).split(","))
    there = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"spark", "model"} <= extras <= set(there)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("fruitpipe ")])
def test_each_command_of_a_step_has_the_flags_that_it_is_given(command):
    words = command.split()
    explained = heard(" ".join([*(word for word in words if not word.startswith("-")), "--help"]))
    assert explained.code == 0
    assert [flag for flag in words if flag.startswith("-") and flag not in explained.stdout] == []


def test_the_image_runs_the_command_as_a_user_without_rights():
    last = max(number for number, (step, _) in enumerate(STEPS) if step == "FROM")
    stage = dict(STEPS[last:])
    user = stage["USER"].partition(":")[0]
    assert int(user) > 0  # a number: Kubernetes cannot see of a name that it is not root's
    assert any(f"--uid {user} " in command for command in COMMANDS)  # with a name, which Java's login asks for
    assert stage["ENTRYPOINT"] == '["fruitpipe"]'


def test_no_secret_and_no_proxy_gets_into_the_image():
    given = [text for step, text in STEPS if step in ("ENV", "ARG")]
    assert re.findall(r"(?i)\w*(?:secret|token|password|access_key|proxy|index_url)\w*", " ".join(given)) == []
