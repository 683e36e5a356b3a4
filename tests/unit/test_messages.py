"""Commands that messages tell a user to run: each is there, and each takes what the message gives it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from fruitpipe.cli.commands import app
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings

PACKAGE = Path(__file__).parents[2] / "fruitpipe"
COMMANDS = typer.main.get_command(app).commands
JOBS = {"ingest": IngestSettings, "reconcile": ReconcileSettings, "refit": RefitSettings}
UNKNOWN = "URI"  # what a message interpolates
TITLES = re.compile(r"fruitpipe [a-z]+")  # of Spark's applications and of help texts
PROSE = {"can", "did", "needs", "there"}  # after the product's name, or a command's, in sentences about them
COMMAND = re.compile(r"fruitpipe ((?:model )?[a-z]+)\b((?: [^\s;,)`]+)*)")


def messages():
    """Every string of the package that is no docstring, with its file: what is interpolated is UNKNOWN."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        silent |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else UNKNOWN for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                text = node.value
            else:
                continue
            yield path.relative_to(PACKAGE), text.replace("{root}", UNKNOWN)


def told():
    """Each command that a message names: file, name, and the words that follow it."""
    for path, text in messages():
        if not TITLES.fullmatch(text):
            named = (found for found in COMMAND.finditer(text) if PROSE.isdisjoint([found[1], *found[2].split()[:1]]))
            yield from ((str(path), found[1], found[2].split()) for found in named)


def of(name):
    """The command, and the names of those of its flags and arguments that have to be given."""
    group, _, inner = name.rpartition(" ")
    found = (COMMANDS[group].commands if group else COMMANDS).get(inner)
    if found is None:
        return None, set()
    fields = JOBS[name].model_fields.items() if name in JOBS else ()
    required = {field for field, about in fields if about.is_required()}
    return found, required | {one.name for one in found.get_params(typer.Context(found)) if one.required}


def left_to_say(name, words):
    """What of a command has to be given and is not. Raises KeyError for a flag that it does not have."""
    found, required = of(name)
    parameters = found.get_params(typer.Context(found))
    flags = {flag: one for one in parameters if one.param_type_name == "option" for flag in (*one.opts, *one.secondary_opts)}
    arguments = [one.name for one in parameters if one.param_type_name == "argument"]
    given, left = set(), list(words)
    while left:
        word = left.pop(0)
        if word.startswith("--"):
            flag = flags[word]
            given.add(flag.name)
            left = left if flag.is_flag else left[1:]
        elif arguments and re.fullmatch(r"[A-Z]+(\.\w+)?", word):
            given.add(arguments.pop(0))
        else:
            break  # the sentence goes on
    return required - given


@pytest.mark.parametrize(("path", "name", "words"), list(told()))
def test_a_command_that_a_message_names_is_there_and_is_told_with_all_that_it_needs(path, name, words):
    assert of(name)[0], f"{path}: there is no fruitpipe {name}"
    assert left_to_say(name, words) == set(), f"{path}: fruitpipe {name} {' '.join(words)}"


def test_messages_name_the_commands_of_all_groups():
    assert {"ingest", "refit", "reconcile", "jars", "model build", "rollback", "release", "errors", "doctor"} <= {
        name for _, name, _ in told()
    }
