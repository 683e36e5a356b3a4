"""The commands of the group Model: `fruitpipe model build`."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

MODEL = "Model"
commands = typer.Typer(no_args_is_help=True, help="The extractor's model file.")


class Precision(enum.StrEnum):
    """What the extractor computes in."""

    float32 = "float32"
    int8 = "int8"


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

    build.build(path or settings.default_model(extractor.value), extractor.value)
