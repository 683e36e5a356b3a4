"""`fruitpipe …`: a module for each group of `fruitpipe --help`: jobs and `run`, `look`, `identify`, `app` and
`publish`, `repair`, `gdpr`, `model`.

Each command imports what it needs when it runs, so that `fruitpipe --help` answers at once.

In: a command line. Out: what was asked for, and an exit code. Imports: all.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import fruitpipe
from fruitpipe.cli import curate, gdpr, identify, jobs, look, model, page, publish, repair, run
from fruitpipe.errors import FruitpipeError, WrongUsage
from fruitpipe.output import say

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for group in (jobs, run, look, curate, identify, page, publish, repair, gdpr):  # in the order of the help
    app.add_typer(group.commands)
app.add_typer(model.commands, name="model", rich_help_panel=model.MODEL)


def _version(asked: bool) -> None:
    if asked:
        say(f"fruitpipe {fruitpipe.__version__}")
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Image features, kept up to date."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 wrong usage; never a traceback for what a user can fix."""
    try:
        app(arguments)
    except WrongUsage as error:
        sys.exit(_refused(error, 2))
    except FruitpipeError as error:
        sys.exit(_refused(error, 1))


def _refused(error: FruitpipeError, code: int) -> int:
    say(f"error: {error}", to=sys.stderr)
    return code
