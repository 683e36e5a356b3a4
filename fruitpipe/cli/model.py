"""The commands of the group Model: `fruitpipe model build` and `fruitpipe model wrap`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from fruitpipe.choices import Precision
from fruitpipe.cli.flags import taking
from fruitpipe.errors import WrongUsage

MODEL = "Model"
commands = typer.Typer(no_args_is_help=True, help="The network's model file.")


@commands.command()
def build(
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="Where the model file is written; without it, where the jobs look.")
    ] = None,
    extractor: Annotated[
        Precision, typer.Option(help="int8: about twice as fast, its vectors a little different; docs/int8.md.")
    ] = Precision.float32,
) -> None:
    """Fetch and verify the ImageNet weights and convert them to the model file."""
    from fruitpipe import settings
    from fruitpipe.extractor import build

    build.build(path or settings.default_model(extractor), extractor)


@dataclass(frozen=True)
class WrapFlags:
    """What `fruitpipe model wrap` is asked for."""

    network: Annotated[str, typer.Argument(metavar="MODEL.tflite", help="A LiteRT model that turns a picture into a vector.")]
    path: Annotated[str, typer.Argument(metavar="PATH", help="Where the model file is written, for --model.")]
    mean: Annotated[str, typer.Option("--mean", help="It gets (value - mean) / scale: a number, or three with commas between.")]
    scale: Annotated[str, typer.Option("--scale", help="As --mean; values go from 0 to 255.")]
    size: Annotated[
        str | None, typer.Option("--size", metavar="HEIGHTxWIDTH", help="Of the pictures that it gets, where it takes any.")
    ] = None


@commands.command()
@taking(WrapFlags)
def wrap(given: WrapFlags) -> None:
    """Make a model file of another image network, for --model: its vectors, its own fingerprint."""
    from fruitpipe.extractor import wrapped

    mean, scale = (_numbers(flag, text) for flag, text in (("--mean", given.mean), ("--scale", given.scale)))
    wrapped.wrap(given.network, given.path, mean, scale, _size(given.size) if given.size else None)


def _numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise WrongUsage(f"{flag} {text}: give a number, or three with commas between") from error


def _size(text: str) -> tuple[int, int]:
    """``224`` or ``224x320``: height and width."""
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() for side in sides) or len(sides) > 2:  # noqa: PLR2004 - height and width
        raise WrongUsage(f"--size {text}: give a number of pixels, or height and width such as 224x320")
    return int(sides[0]), int(sides[-1])
