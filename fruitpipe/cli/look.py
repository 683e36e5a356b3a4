"""The commands of the group Look."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from fruitpipe.cli.flags import Root, check_region, taking
from fruitpipe.cli.jobs import check_spark
from fruitpipe.output import say, to_json

LOOK = "Look"
commands = typer.Typer()


@commands.command(rich_help_panel=LOOK)
def status(
    root: Root,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Print it again and again, until Ctrl-C; the bytes stored are listed once a minute.")
    ] = False,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="With --watch: from one time to the next.")] = 5,
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


@dataclass(frozen=True)
class ErrorsFlags:
    """The flags of `fruitpipe errors`."""

    root: Root
    reason: Annotated[str | None, typer.Option("--reason", help="Only images with this reason, such as truncated.")] = None
    label: Annotated[str | None, typer.Option("--label", help="Only images with this label.")] = None
    csv: Annotated[str | None, typer.Option("--csv", metavar="URI", help="Write them all to this file.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of a table.")] = False
    retry: Annotated[bool, typer.Option("--retry", help="Have the stream look at them again.")] = False


@commands.command(rich_help_panel=LOOK)
@taking(ErrorsFlags)
def errors(given: ErrorsFlags) -> None:
    """List the images that could not be featurised, with the reason."""
    from fruitpipe import objects
    from fruitpipe.operations import failed_images, terminal
    from fruitpipe.root import layout
    from fruitpipe.table import snapshot

    if given.csv:
        layout.check_users(given.csv, given.root)
    table = snapshot.Snapshot(given.root)
    table.check_whole()  # a file that is lost may hold images that failed
    rows = failed_images.find(table, given.reason, given.label)
    if given.csv:
        check_region(given.csv)
        objects.write(objects.canonical(given.csv), failed_images.to_csv(rows))
        say(f"{given.csv}: {len(rows)} images written")
    elif not given.retry:
        terminal.show_errors(rows, as_json=given.as_json)
    if given.retry:
        named = failed_images.retry(given.root, rows)
        say(f"the stream's next batch looks at {named} images again; what is as it was keeps its reason")


@dataclass(frozen=True)
class DoctorFlags:
    """The flags of `fruitpipe doctor`."""

    root: Root
    images: Annotated[str | None, typer.Option("--images", envvar="FRUITPIPE_IMAGES", help="URI of the image prefix.")] = None
    model: Annotated[str | None, typer.Option("--model", envvar="FRUITPIPE_MODEL", help="The model file.")] = None
    cluster: Annotated[str | None, typer.Option("--cluster", envvar="CLUSTER_ID", help="The id of the EMR cluster.")] = None
    regions: Annotated[
        str | None, typer.Option("--regions", envvar="FRUITPIPE_REGIONS", help="Regions in which buckets may lie.")
    ] = None
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file of the table and of the published versions against its checksums.")
    ] = False
    record: Annotated[
        bool,
        typer.Option("--record", help="Check nothing; print a record of the processing (GDPR, article 30) from the settings."),
    ] = False
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line instead of text.")] = False


@commands.command(rich_help_panel=LOOK)
@taking(DoctorFlags)
def doctor(given: DoctorFlags) -> None:
    """Check all that a set-up needs, a line each; exit with 1 where anything fails."""
    from fruitpipe import objects, regions, settings
    from fruitpipe.operations import doctor as doctor_
    from fruitpipe.operations import processing_record

    if given.record:
        say(*processing_record.lines(given.root, given.images, as_json=given.as_json))
        return
    targets = doctor_.Targets(
        root=objects.canonical(given.root),
        images=objects.canonical(given.images) if given.images else None,
        model=given.model or settings.default_model(),
        allowed_regions=regions.parse(given.regions) if given.regions else settings.UNION,
        cluster=given.cluster or None,
        verify=given.verify,
    )
    well = True
    for finding in doctor_.examine(targets):
        say(to_json(finding.as_dict()) if given.as_json else finding)
        well = well and finding.ok
    if not well:
        raise typer.Exit(1)


@commands.command(rich_help_panel=LOOK)
def report(
    root: Root,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A published version; by default the current one.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Write the report of a version once more, from what is in the table now, and open it."""
    import webbrowser

    from fruitpipe import objects
    from fruitpipe.erasure import register
    from fruitpipe.report import document

    check_spark()
    check_region(root)
    erased = register.gone_from_table(objects.canonical(root))
    where = document.rebuild(root, version)
    register.check_shown(objects.canonical(root), where, erased)
    say(where)
    if show and sys.stdout.isatty() and not objects.is_s3(where):
        webbrowser.open(where)
