"""The map at the top of docs/design.md: what it names is there."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
MAP = (CHECKOUT / "docs/design.md").read_text().split("## The map")[1].split("\n## ")[0]
PACKAGES, FILES = (
    re.findall(r"^\|(?! to change| `fruitpipe/` |-)(.+)\|$", part, re.MULTILINE) for part in MAP.split("| to change")
)


def test_every_package_is_on_the_map():
    named = set(re.findall(r"`(\w+)/`", " ".join(row.split("|")[0] for row in PACKAGES)))
    assert named == {path.parent.name for path in (CHECKOUT / "fruitpipe").glob("*/__init__.py")}


@pytest.mark.parametrize("row", FILES, ids=lambda row: row.split("|")[0].strip())
def test_the_file_to_open_is_there(row):
    (file,) = re.findall(r"`([\w./]+)`", row.split("|")[1])
    assert (CHECKOUT / file).is_file()


def test_there_are_a_dozen_rows():
    assert len(FILES) >= 12


def test_every_package_says_what_flows_in_and_out_and_what_it_may_import():
    for package in (CHECKOUT / "fruitpipe").glob("*/__init__.py"):
        said = package.read_text().split('"""')[1]
        assert re.search(r"In: .*Out: .*May import: ", said, re.DOTALL), package
