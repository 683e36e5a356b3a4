"""`fruitpipe …`: the jobs, and what is done by hand around them.

Each command imports what it needs when it runs, so that `fruitpipe --help` answers at once.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import fruitpipe
from fruitpipe.errors import FruitpipeError, WrongUsage
from fruitpipe.jobs.commands import RUN, check_spark, commands
from fruitpipe.output import say, to_json

# The groups of `fruitpipe --help`, in the order of their first commands.
LOOK, REPAIR, GDPR, MODEL = "Look", "Repair", "GDPR", "Model"

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(commands)
model = typer.Typer(no_args_is_help=True, help="The extractor's model file.")
app.add_typer(model, name="model", rich_help_panel=MODEL)

Root = Annotated[
    str, typer.Option("--root", envvar="FRUITPIPE_ROOT", help="URI under which the pipeline keeps everything it writes.")
]


class Precision(enum.StrEnum):
    """What the extractor computes in."""

    float32 = "float32"
    int8 = "int8"


def _version(asked: bool) -> None:
    if asked:
        say(f"fruitpipe {fruitpipe.__version__}")
        raise typer.Exit


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Image features, kept up to date."""


@app.command(rich_help_panel=RUN)
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


@model.command()
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


@app.command(rich_help_panel=LOOK)
def status(
    root: Root,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until Ctrl-C; at what is stored, once a minute.")
    ] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="With --watch: from one look to the next.")] = 5,
) -> None:
    """Show what is in the table, what came last, which versions are published and what is stored."""
    from fruitpipe import objects
    from fruitpipe.operations import status, terminal
    from fruitpipe.table import snapshot

    sizes = status.Sizes(objects.canonical(root)) if watch else None  # who looks once has every file looked for, too

    def look() -> status.Status:
        return status.of(snapshot.Snapshot(root), sizes=sizes)

    if watch:
        terminal.watch(look, seconds, as_json=as_json)
    else:
        terminal.show(look(), as_json=as_json)


@app.command(rich_help_panel=LOOK)
def errors(  # noqa: PLR0913, PLR0917 - flags
    root: Root,
    reason: Annotated[str | None, typer.Option("--reason", help="Only images with this reason, such as truncated.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="Only images with this label.")] = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="URI", help="Write them all to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of a table.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Have the stream look at them again.")] = False,
) -> None:
    """List the images that could not be featurised, with the reason."""
    from fruitpipe import objects
    from fruitpipe.operations import failed_images, terminal
    from fruitpipe.table import snapshot

    table = snapshot.Snapshot(root)
    table.check_whole()  # a file that is lost may hold images that failed
    rows = failed_images.find(table, reason, label)
    if csv:
        check_region(csv)
        objects.write(objects.canonical(csv), failed_images.to_csv(rows))
        say(f"{csv}: {len(rows)} images written")
    elif not retry:
        terminal.show_errors(rows, as_json=as_json)
    if retry:
        named = failed_images.retry(root, rows)
        say(f"the stream's next batch looks at {named} images again; what is as it was keeps its reason")


@app.command(rich_help_panel=LOOK)
def doctor(  # noqa: PLR0913, PLR0917 - flags
    root: Root,
    images: Annotated[str | None, typer.Option("--images", envvar="FRUITPIPE_IMAGES", help="URI of the image prefix.")] = None,
    model_file: Annotated[str | None, typer.Option("--model", envvar="FRUITPIPE_MODEL", help="The model file.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", envvar="CLUSTER_ID", help="The id of the EMR cluster.")] = None,
    allowed: Annotated[
        str | None, typer.Option("--regions", envvar="FRUITPIPE_REGIONS", help="Regions in which buckets may lie.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file of the table and of the published versions against its checksums.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of text.")] = False,
) -> None:
    """Check all that a set-up needs, a line each; exit with 1 where anything fails."""
    from fruitpipe import objects, regions, settings
    from fruitpipe.operations import doctor as doctor_

    asked = doctor_.Asked(
        root=objects.canonical(root),
        images=objects.canonical(images) if images else None,
        model=model_file or settings.default_model(),
        allowed_regions=regions.parse(allowed) if allowed else settings.UNION,
        cluster=cluster or None,
        verify=verify,
    )
    well = True
    for finding in doctor_.examine(asked):
        say(to_json(finding.as_dict()) if as_json else finding)
        well = well and finding.ok
    if not well:
        raise typer.Exit(1)


@app.command(rich_help_panel=LOOK)
def report(
    root: Root,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A published version; the current one without.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Write the report of a version once more, from what is in the table now, and open it."""
    import webbrowser

    from fruitpipe import objects
    from fruitpipe.report import document

    check_region(root)
    where = document.rebuild(root, version)
    say(where)
    if show and sys.stdout.isatty() and not objects.is_s3(where):
        webbrowser.open(where)


@app.command(rich_help_panel=REPAIR)
def rollback(
    root: Root, version: Annotated[str, typer.Argument(metavar="VERSION", help="A published version, such as v000012.")]
) -> None:
    """Make an earlier version of the reduced features the current one, and hold it until it is released."""
    from fruitpipe.refit import rollback

    held = rollback.told(rollback.roll_back(root, version), root)
    say(f"{root}: {version} is the current version; {held}")


@app.command(rich_help_panel=REPAIR)
def release(root: Root) -> None:
    """End the hold of a rollback: the next refit makes its version the current one again."""
    from fruitpipe.refit import rollback

    before = rollback.release(root)
    if before.held:
        say(f"{root}: {before.version} is no longer held; readers keep it until the next refit")
    else:
        say(f"{root}: {before.version} is not held; nothing is to be released")


@app.command(rich_help_panel=REPAIR)
def jars(
    s3: Annotated[bool, typer.Option("--s3", help="Those for S3 too, 558 MB.")] = False,
) -> None:
    """Fetch the jars that Spark needs, which otherwise the first job does."""
    check_spark()
    from fruitpipe.runtime import jars

    jars.paths(*jars.wanted(s3=s3))


@app.command(rich_help_panel=GDPR)
def erase(  # noqa: PLR0913, PLR0917 - a command's flags
    root: Root,
    uris: Annotated[list[str] | None, typer.Argument(metavar="URI...", help="Images, each by its exact name.")] = None,
    prefix: Annotated[str | None, typer.Option(help="All images under this URI.")] = None,
    label: Annotated[str | None, typer.Option(help="All images of this label.")] = None,
    from_file: Annotated[
        str | None, typer.Option(help="A file with a URI a line, JSON lines, or a CSV with a column `path`.")
    ] = None,
    requested_by: Annotated[str, typer.Option(help="Who asked; kept in the proof.")] = "",
    keep_object: Annotated[
        bool, typer.Option("--keep-object", help="Leave the images where they are; erase what was made of them.")
    ] = False,
    same_bytes: Annotated[
        bool | None,
        typer.Option("--same-bytes/--not-same-bytes", help="Whether other images with the same bytes go too; asks without it."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the proof.")] = False,
) -> None:
    """Erase images everywhere, with a proof: for requests under the GDPR."""
    from functools import partial

    from fruitpipe.erasure import command, request_list, requested_images

    named = [*map(request_list.Named, uris or ()), *(request_list.read(from_file) if from_file else ())]
    asked = requested_images.Asked(named, prefix, label, keep_object)
    ids = command.erase(root, asked, requested_by=requested_by, with_same_bytes=partial(_with_same_bytes, same_bytes))
    if wait:
        command.wait(root, ids)


def _with_same_bytes(wanted: bool | None, others: Sequence[str]) -> bool:
    """Names the images with the same bytes, and asks whether they go too where a person sits there and said nothing of it."""
    for other in others:
        say(f"{other}: has the same bytes" + (", and goes too" if wanted else ""))
    if wanted is None and sys.stdin.isatty():
        return typer.confirm(f"Erase these {len(others)} images too?")
    if not wanted:
        say(f"{len(others)} images with the same bytes stay; --same-bytes erases them too")
    return bool(wanted)


@app.command(rich_help_panel=GDPR)
def show(root: Root, uri: Annotated[str, typer.Argument(metavar="URI", help="An image.")]) -> None:
    """Print all that is held about an image, as JSON."""
    from fruitpipe import objects
    from fruitpipe.erasure import access

    say(*to_json(access.show(objects.canonical(root), objects.canonical(uri)), indent=2).split("\n"))


def check_region(uri: str) -> None:
    """Raises WrongRegion where a command would write to a bucket outside of the regions that are allowed."""
    import os

    from fruitpipe import objects, regions, settings

    regions.check([objects.canonical(uri)], os.environ.get("FRUITPIPE_REGIONS") or settings.UNION)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 wrong usage; never a traceback for what a user can mend."""
    try:
        app(arguments)
    except WrongUsage as error:
        sys.exit(_refused(error, 2))
    except FruitpipeError as error:
        sys.exit(_refused(error, 1))


def _refused(error: FruitpipeError, code: int) -> int:
    say(f"error: {error}", to=sys.stderr)
    return code
