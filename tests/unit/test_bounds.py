"""How long functions and modules may be, and how many parameters a function takes. Ruff counts statements, not lines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
FOLDERS = ("fruitpipe", "streaming", "batch", "lambda", "deploy", "benchmarks", "website", "tests")
FUNCTION_LINES, PARAMETERS = 30, 6
MODULE_LINES = {folder: 350 if folder == "tests" else 250 for folder in FOLDERS}


def modules(folder):
    return sorted((CHECKOUT / folder).rglob("*.py"))


def functions(path):
    """Each function of a module, with its decorators' lines left out."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines(function):
    return function.end_lineno - function.lineno + 1


def parameters(function):
    """Those that a caller gives, in whichever way."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [one.arg for one in named if one.arg not in {"self", "cls"}]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_longer_than_one_reads_at_a_time(folder):
    long = {str(path.relative_to(CHECKOUT)): len(path.read_text().splitlines()) for path in modules(folder)}
    assert {name: count for name, count in long.items() if count > MODULE_LINES[folder]} == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_has_more_than_thirty_lines(folder):
    found = {f"{path.name}:{one.lineno} {one.name}": lines(one) for path in modules(folder) for one in functions(path)}
    assert {name: count for name, count in found.items() if count > FUNCTION_LINES} == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_takes_more_than_six_parameters(folder):
    found = {f"{path.name}:{one.lineno} {one.name}": parameters(one) for path in modules(folder) for one in functions(path)}
    assert {name: taken for name, taken in found.items() if len(taken) > PARAMETERS} == {}
