"""Command lines of the docs, run in one process: they share the session, which costs more to start than they take."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from fruitpipe import cli


def of_page(name):
    """The blocks of commands of a page under docs/, by the word behind ```sh."""
    page = (Path(__file__).parents[1] / "docs" / name).read_text()
    return {kind: body.splitlines() for kind, body in re.findall(r"```sh(?: (\w+))?\n(.*?)```", page, re.DOTALL)}


def run(line):
    """A command line in this process; returns its exit code, or 0 where the line says that it may fail."""
    words = shlex.split(line, comments=True)
    may_fail = words[-2:] == ["||", "true"]
    program, *arguments = words[:-2] if may_fail else words
    assert program == "fruitpipe", line
    code = called(*arguments)
    return 0 if may_fail else code


def called(*arguments):
    try:
        cli.main(list(arguments))
    except SystemExit as ended:
        return ended.code or 0
    raise AssertionError("the command line ends by itself")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        print(f"$ {given}", flush=True)
        if failed := run(given):
            sys.exit(failed)
