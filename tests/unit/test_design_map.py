"""The map at the top of docs/design.md: what it names is there."""

import ast
import re
from itertools import chain
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
MAP = (CHECKOUT / "docs/design.md").read_text().split("## The map")[1].split("\n## ")[0]
PACKAGES, FILES = (
    re.findall(r"^\|(?! to change| `fruitpipe/` |-)(.+)\|$", part, re.MULTILINE) for part in MAP.split("| to change")
)
PACKAGE_FOLDERS = sorted(path.parent for path in (CHECKOUT / "fruitpipe").glob("*/__init__.py"))


def test_every_package_is_on_the_map():
    named = set(re.findall(r"`(\w+)/`", " ".join(row.split("|")[0] for row in PACKAGES)))
    assert named == {folder.name for folder in PACKAGE_FOLDERS}


@pytest.mark.parametrize("row", FILES, ids=lambda row: row.split("|")[0].strip())
def test_the_file_to_open_is_there(row):
    (file,) = re.findall(r"`([\w./]+)`", row.split("|")[1])
    assert (CHECKOUT / file).is_file()


def test_there_are_a_dozen_rows():
    assert 12 <= len(FILES) <= 15


@pytest.mark.parametrize("package", PACKAGE_FOLDERS, ids=lambda folder: folder.name)
def test_every_package_says_what_flows_in_and_out_and_what_it_imports(package):
    said = (package / "__init__.py").read_text().split('"""')[1]
    imports = re.search(r"In:\s.*Out:\s.*Imports:\s(.*)\.\n", said, re.DOTALL)[1]
    assert imports.startswith("all") or set(re.split(r",\s", imports)) == imported(package)


def imported(package):
    """The other packages and modules of fruitpipe that one names in its imports."""
    modules = chain.from_iterable(ast.walk(ast.parse(path.read_text())) for path in package.rglob("*.py"))
    froms = [node for node in modules if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fruitpipe"]
    names = {name for node in froms for name in (node.module.split(".")[1:2] or [alias.name for alias in node.names])}
    return names - {package.name}
