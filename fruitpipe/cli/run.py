"""The commands of the group Run that are no jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fruitpipe.cli.jobs import RUN, check_spark
from fruitpipe.errors import WrongUsage
from fruitpipe.output import say

commands = typer.Typer()


@commands.command(rich_help_panel=RUN)
def sample(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to draw into.")],
    labels: Annotated[int, typer.Option(help="How many labels, at most 12.")] = 12,
    images_per_label: Annotated[
        int, typer.Option(help="Pictures that each label has afterwards; those there already are kept.")
    ] = 20,
) -> None:
    """Draw a labelled data set of fruit-like pictures."""
    from fruitpipe import objects
    from fruitpipe.pictures.drawn import draw

    uri = objects.canonical(folder)
    if objects.is_s3(uri):
        raise WrongUsage(f"{folder}: pictures are drawn into a local folder; upload it with: aws s3 cp --recursive")
    drawn = draw(Path(uri.removeprefix("file://")), labels, images_per_label)
    say(f"{folder}: {drawn} pictures drawn, {labels * images_per_label - drawn} were there; {labels} labels")


@commands.command(rich_help_panel=RUN)
def jars(
    s3: Annotated[bool, typer.Option("--s3", help="Those for S3 too, 558 MB.")] = False,
) -> None:
    """Fetch the jars that Spark needs, which otherwise the first job does."""
    check_spark()
    from fruitpipe.runtime import jars

    jars.paths(*jars.wanted(s3=s3))
