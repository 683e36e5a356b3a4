"""`fruitpipe app`: a version as an installable page."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from fruitpipe.choices import Decoding, Precision
from fruitpipe.cli.flags import Root, check_region, taking
from fruitpipe.cli.look import LOOK
from fruitpipe.output import say

if TYPE_CHECKING:
    from fruitpipe.app.folder import Written

commands = typer.Typer()
MEGA = 1e6
LARGEST_MEGABYTES = 50  # that a phone fetches without a word
LEAST_COSINE = 0.99  # of a large photograph, decoded in full and at a fraction: below it labels differ


@dataclass(frozen=True)
class AppFlags:
    """What `fruitpipe app` is asked for."""

    root: Root
    out: Annotated[str, typer.Argument(metavar="OUT", help="Where it is written: a local folder or s3://bucket/prefix.")]
    remove: Annotated[
        bool, typer.Option("--remove", help="Take away the apps of ROOT at OUT instead, and have phones forget them.")
    ] = False
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
    if given.remove:
        _take_away(given)
        return
    model = given.model or settings.default_model(given.extractor)
    identifier = Identifier.of(given.root, model, in_full=given.decode == Decoding.full)
    found = folder.write(identifier, given.out, given.title)
    say(
        f"{found.app.place}/index.html: {found.app.version}, {len(identifier.classifier.labels)} labels, {found.pictures} golden "
        f"pictures; {found.bytes / MEGA:.1f} MB, of which a browser fetches {found.fetched / MEGA:.1f}"
    )
    _warn(found)


def _warn(found: Written) -> None:
    if found.fetched > LARGEST_MEGABYTES * MEGA:
        say(f"A phone fetches {found.fetched / MEGA:.0f} MB, 5 kB of it for each label; have few labels, or wi-fi", to=sys.stderr)
    if found.least_scaled < LEAST_COSINE:
        say(
            f"Large photographs have other vectors on the page, which decodes them in full: cosine {found.least_scaled:.4f}, "
            f"below {LEAST_COSINE}; --decode full, here and for the stream, makes them equal",
            to=sys.stderr,
        )


def _take_away(given: AppFlags) -> None:
    from fruitpipe import objects
    from fruitpipe.app import place

    root, to = objects.canonical(given.root), objects.canonical(given.out)
    gone = place.take_away(root, to)
    say(
        f"{to}: {len(gone)} folders removed. Phones forget the app when they next open it with a network, "
        "by sw.js, which is to stay"
    )
