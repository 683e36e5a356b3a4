"""`fruitpipe identify`: what pictures show."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from fruitpipe.choices import Decoding, Precision
from fruitpipe.cli.flags import Root, taking
from fruitpipe.cli.look import LOOK
from fruitpipe.output import quoted, say, to_json

if TYPE_CHECKING:
    from fruitpipe.identification.identifier import Identified

commands = typer.Typer()


@dataclass(frozen=True)
class IdentifyFlags:
    """What `fruitpipe identify` is asked for."""

    root: Root
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="Files, objects or folders.")]
    extractor: Annotated[Precision, typer.Option(help="The precision of the root's features.")] = Precision.float32
    model: Annotated[str | None, typer.Option("--model", envvar="FRUITPIPE_MODEL", help="The model file.")] = None
    decode: Annotated[
        Decoding, typer.Option(envvar="FRUITPIPE_DECODE", help="As the stream's: whether large photographs are decoded in full.")
    ] = Decoding.scaled
    nearest: Annotated[
        int, typer.Option("--nearest", min=0, max=100, help="Nearest images to name; 0 does not read the others' features.")
    ] = 3
    equal_priors: Annotated[
        bool, typer.Option("--equal-priors", help="Take each label for as likely as another, however many images it has.")
    ] = False
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of text.")] = False


@commands.command(rich_help_panel=LOOK)
@taking(IdentifyFlags)
def identify(given: IdentifyFlags) -> None:
    """Name what pictures show, or say that it is unknown; exit with 1 where one cannot be read."""
    from fruitpipe import settings
    from fruitpipe.identification import input_pictures
    from fruitpipe.identification.identifier import Identifier

    model = given.model or settings.default_model(given.extractor)
    in_full = given.decode == Decoding.full
    named_by = Identifier.of(given.root, model, wanted=given.nearest, equal_priors=given.equal_priors, in_full=in_full)
    well = True
    for found in named_by.identify(input_pictures.named_by(given.pictures)):
        if given.as_json:
            say(to_json(found.as_dict()))
        else:
            say(_told(found), to=sys.stdout if found.answer else sys.stderr)
        well = well and found.bad is None
    if not well:
        raise typer.Exit(1)


def _told(found: Identified) -> str:
    """``a.jpg: Kiwi 98.2 % (Lemon 1.1 %); nearest b.jpg, c.jpg``."""
    if found.answer is None:
        return f"{quoted(found.path)}: {found.bad.reason}: {found.bad.message}" if found.bad else ""
    first, answer = "", found.answer
    likely = f"{_label(answer.label)} {100 * answer.probability:.1f} %"
    if not answer.is_known:
        first, likely = "unknown; ", f"of the known {likely}"
    second = f"({_label(answer.runner_up)} {100 * answer.runner_up_probability:.1f} %)"
    near = ", ".join(quoted(one.path) for one in found.nearest)
    return f"{quoted(found.path)}: {first}{likely} {second}" + (f"; nearest {near}" if near else "")


def _label(name: str) -> str:
    return quoted(name) or '""'
