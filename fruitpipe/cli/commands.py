"""All commands as one application of typer, in the order of the help."""

from __future__ import annotations

from typing import Annotated

import typer

import fruitpipe
from fruitpipe.cli import curate, gdpr, identify, jobs, look, model, page, publish, repair, run
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
