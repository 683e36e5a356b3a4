"""`fruitpipe …`: what is done by hand around the jobs.

Each command imports what it needs when it runs, so that `fruitpipe --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fruitpipe.errors import FruitpipeError, WrongUsage

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Image features, kept up to date."
)
model = typer.Typer(no_args_is_help=True, help="The extractor's model file.")
app.add_typer(model, name="model")

Root = Annotated[
    str, typer.Option("--root", envvar="FRUITPIPE_ROOT", help="URI under which the pipeline keeps everything it writes.")
]


@app.command()
def sample(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder to draw into.")],
    labels: Annotated[int, typer.Option(help="How many labels, at most 12.")] = 12,
    images_per_label: Annotated[
        int, typer.Option(help="Pictures that each label has afterwards; those there already are kept.")
    ] = 20,
) -> None:
    """Draw a labelled data set of fruit-like pictures."""
    from fruitpipe import objects
    from fruitpipe.sample import draw

    uri = objects.canonical(folder)
    if objects.is_s3(uri):
        raise WrongUsage(f"{folder}: pictures are drawn into a local folder; upload it with: aws s3 cp --recursive")
    drawn = draw(Path(uri.removeprefix("file://")), labels, images_per_label)
    print(f"{folder}: {drawn} pictures drawn, {labels * images_per_label - drawn} were there; {labels} labels")


@model.command()
def build(
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="Where the model file is written; without it, where the jobs look.")
    ] = None,
) -> None:
    """Fetch and verify the ImageNet weights and convert them to the model file."""
    from fruitpipe import settings, weights

    weights.build(path or settings.default_model())


@app.command()
def rollback(
    root: Root, version: Annotated[str, typer.Argument(metavar="VERSION", help="A published version, such as v000012.")]
) -> None:
    """Make an earlier version of the reduced features the current one."""
    from fruitpipe import publication

    publication.rollback(root, version)
    print(f"{root}: {version} is the current version")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 wrong usage; never a traceback for what a user can mend."""
    try:
        app(arguments)
    except WrongUsage as error:
        sys.exit(_refused(error, 2))
    except FruitpipeError as error:
        sys.exit(_refused(error, 1))


def _refused(error: FruitpipeError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
