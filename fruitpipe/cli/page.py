"""`fruitpipe app`: a version as an installable page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from fruitpipe.choices import Decoding, Precision
from fruitpipe.cli.flags import Root, check_region, taking
from fruitpipe.cli.look import LOOK
from fruitpipe.output import say

commands = typer.Typer()
MEGA = 1e6


@dataclass(frozen=True)
class AppFlags:
    """What `fruitpipe app` is asked for."""

    root: Root
    out: Annotated[str, typer.Argument(metavar="OUT", help="Where it is written: a local folder or s3://bucket/prefix.")]
    title: Annotated[str, typer.Option("--title", help="What the page and its icon on a phone are called.")] = "Fruits!"
    extractor: Annotated[Precision, typer.Option(help="The precision of the root's features.")] = Precision.float32
    model: Annotated[str | None, typer.Option("--model", envvar="FRUITPIPE_MODEL", help="The model file.")] = None
    decode: Annotated[
        Decoding, typer.Option(envvar="FRUITPIPE_DECODE", help="As the stream's: whether large photographs are decoded in full.")
    ] = Decoding.scaled


@commands.command(rich_help_panel=LOOK)
@taking(AppFlags)
def app(given: AppFlags) -> None:
    """Write the current version as a folder of static files: a page that names pictures on a phone, offline."""
    from fruitpipe import settings
    from fruitpipe.app import folder
    from fruitpipe.identification.identifier import Identifier

    for uri in (given.root, given.out):
        check_region(uri)
    model = given.model or settings.default_model(given.extractor)
    identifier = Identifier.of(given.root, model, in_full=given.decode == Decoding.full)
    found = folder.write(identifier, given.out, given.title)
    say(
        f"{found.app.place}/index.html: {found.app.version}, {len(identifier.classifier.labels)} labels, {found.pictures} golden "
        f"pictures; {found.bytes / MEGA:.1f} MB, of which a browser fetches {found.fetched / MEGA:.1f}"
    )
