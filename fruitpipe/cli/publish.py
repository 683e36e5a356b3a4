"""`fruitpipe publish`: the current version at places outside of the root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from fruitpipe.cli.flags import Root, allowed_regions, check_region, taking
from fruitpipe.cli.look import LOOK
from fruitpipe.output import say

commands = typer.Typer()


@dataclass(frozen=True)
class PublishFlags:
    """What `fruitpipe publish` is asked for."""

    root: Root
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="A dataset folder, local or s3://bucket/prefix; an index, s3vectors://bucket/name; a LanceDB table, "
            "FOLDER/NAME.lance.",
        ),
    ]
    remove: Annotated[bool, typer.Option("--remove", help="Take away what was published there instead.")] = False
    title: Annotated[str, typer.Option("--title", help="Of the dataset, in its card.")] = "Image features"
    license: Annotated[str, typer.Option("--license", help="Of the dataset, such as cc-by-4.0; none is said without it.")] = ""


@commands.command(rich_help_panel=LOOK)
@taking(PublishFlags)
def publish(given: PublishFlags) -> None:
    """Copy the current version to a place elsewhere, or bring the copy there in step with it."""
    from fruitpipe.export import publishing

    check_region(given.root)
    _check_region(given.to)
    if given.remove:
        gone = publishing.take_away(given.root, given.to)
        say(f"{gone[-1].place}: {', '.join(one.version for one in gone)} removed")
        return
    found = publishing.publish(given.root, given.to, given.title, given.license)
    say(f"{found.export.uri}: {found.export.version}, {found.rows} rows; {found.done}")


def _check_region(to: str) -> None:
    from fruitpipe import regions
    from fruitpipe.export import publishing, vectors_client
    from fruitpipe.export.register import VECTORS

    kind, place = publishing.place_of(to)
    if kind == VECTORS:
        regions.check_one(place, vectors_client.region(), allowed_regions())
    else:
        check_region(place)
