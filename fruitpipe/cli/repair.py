"""The commands of the group Repair."""

from __future__ import annotations

from typing import Annotated

import typer

from fruitpipe.cli.flags import Root
from fruitpipe.output import say

REPAIR = "Repair"
commands = typer.Typer()


@commands.command(rich_help_panel=REPAIR)
def rollback(
    root: Root, version: Annotated[str, typer.Argument(metavar="VERSION", help="A published version, such as v000012.")]
) -> None:
    """Make an earlier version of the reduced features the current one, and hold it until it is released."""
    from fruitpipe.refit import rollback

    held = rollback.told(rollback.roll_back(root, version), root)
    say(f"{root}: {version} is the current version; {held}")


@commands.command(rich_help_panel=REPAIR)
def release(root: Root) -> None:
    """End the hold of a rollback: the next refit makes its version the current one again."""
    from fruitpipe.refit import rollback

    before = rollback.release(root)
    if before.held:
        say(f"{root}: {before.version} is no longer held; readers keep it until the next refit")
    else:
        say(f"{root}: {before.version} is not held; nothing is to be released")
