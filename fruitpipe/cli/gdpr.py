"""The commands of the group GDPR."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from fruitpipe.cli.flags import Root, taking
from fruitpipe.output import say, to_json

GDPR = "GDPR"
commands = typer.Typer()


@dataclass(frozen=True)
class EraseFlags:
    """What `fruitpipe erase` is asked for."""

    root: Root
    uris: Annotated[list[str] | None, typer.Argument(metavar="URI...", help="Images, each by its exact name.")] = None
    prefix: Annotated[str | None, typer.Option(help="Everything under this URI.")] = None
    label: Annotated[str | None, typer.Option(help="All images of this label, and what else lies in their folders.")] = None
    from_file: Annotated[
        str | None, typer.Option(help="A file with a URI a line, JSON lines, or a CSV with a column `path`.")
    ] = None
    requested_by: Annotated[str, typer.Option(help="Who asked; kept in the certificate.")] = ""
    keep_object: Annotated[
        bool, typer.Option("--keep-object", help="Leave the images where they are; erase what was made of them.")
    ] = False
    same_bytes: Annotated[
        bool | None,
        typer.Option("--same-bytes/--not-same-bytes", help="Whether other images with the same bytes go too; asks without it."),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many would be erased, and how many are no images.")] = (
        False
    )
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the certificate.")] = False


@commands.command(rich_help_panel=GDPR)
@taking(EraseFlags)
def erase(given: EraseFlags) -> None:
    """Erase images everywhere, with a certificate: for requests under the GDPR."""
    from fruitpipe.erasure import command, request_list, requested_images

    named = [*map(request_list.Named, given.uris or ()), *(request_list.read(given.from_file) if given.from_file else ())]
    criteria = requested_images.Criteria(named, given.prefix, given.label, given.keep_object)
    also = partial(_with_same_bytes, given.same_bytes)
    ids = command.erase(given.root, criteria, requested_by=given.requested_by, with_same_bytes=also, dry_run=given.dry_run)
    if given.wait:
        command.wait(given.root, ids)


def _with_same_bytes(wanted: bool | None, others: Sequence[str]) -> bool:
    """Prints the images with the same bytes. Asks on a terminal whether they are erased too, where no flag says so."""
    for other in others:
        say(f"{other}: has the same bytes" + (", and goes too" if wanted else ""))
    if wanted is None and sys.stdin.isatty():
        return typer.confirm(f"Erase these {len(others)} images too?")
    if not wanted:
        say(f"{len(others)} images with the same bytes stay; --same-bytes erases them too")
    return bool(wanted)


@commands.command(rich_help_panel=GDPR)
def show(root: Root, uri: Annotated[str, typer.Argument(metavar="URI", help="An image.")]) -> None:
    """Print all that is held about an image, as JSON."""
    from fruitpipe import objects
    from fruitpipe.erasure import access

    say(*to_json(access.show(objects.canonical(root), objects.canonical(uri)), indent=2).split("\n"))
