"""Reconciliation: lists the image prefix, compares it with the features table, and writes manifests of the differences.

S3's events may be lost, and a stream's listing does not find rows of another extractor. The stream, the table's only writer,
reads the manifests.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.choices import Decoding
from fruitpipe.erasure import register
from fruitpipe.erasure.register import Tombstones
from fruitpipe.errors import NoImages, RemovalsRefused
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.ingest import differences, prefix_listing, recompute, reconciliation, removals, repair
from fruitpipe.ingest.inventory import Inventory
from fruitpipe.ingest.prefix_check import check_not_known
from fruitpipe.output import say
from fruitpipe.pictures import globs, naming, variants
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.root import layout, manifests
from fruitpipe.runtime import lineage, session
from fruitpipe.settings import ReconcileSettings
from fruitpipe.table import data_integrity, lookup, path_hashes, requirements
from fruitpipe.table.hash_index import NEWER, ODD, among
from fruitpipe.table.snapshot import Snapshot, text, timestamp

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from fruitpipe.ingest.differences import Listed
    from fruitpipe.ingest.reconciliation import Plan
    from fruitpipe.pictures.variants import Current
    from fruitpipe.table.hash_index import HashIndex

TOLD = 1_000_000  # images listed from one line to the next
KINDS = "new", "changed", "gone", "again", "stale"


def reconcile(settings: ReconcileSettings) -> None:
    """Prints the plan and, unless it is a dry run, writes its manifests."""
    layout.check(settings.root)
    told = lineage.Lineage(settings.root, "" if settings.dry_run else settings.openlineage_url)
    read = *globs.folders(settings.images, settings.glob), layout.folder(settings.root, "features")
    with told.run(lineage.Job("fruitpipe.reconcile", read, (layout.folder(settings.root, "events"),))) as counts:
        _run(settings, counts)


def _run(settings: ReconcileSettings, counts: Counter[str]) -> None:
    model = ModelFile.load(settings.model, settings.extractor)
    check_not_known(settings.images, settings.root, naming.of(settings.root))
    choice = ImageFilter(naming.of(settings.root), settings.glob)
    if session.is_submitted():
        session.open("fruitpipe reconcile", settings.images, settings.root)  # a cluster counts a job that opens none as failed
    if settings.repair and take_out_lost_files(settings):
        return
    current = variants.Current.of(fingerprint(model), model.preprocessing, in_full=settings.decode == Decoding.full)
    found = compare(settings, current, choice)
    say(f"reconcile: {found}")
    counts.update({kind: len(getattr(found, kind)) for kind in KINDS})
    if str(choice):
        say(f"reconcile: {choice}")
    if settings.dry_run:
        say(*(f"reconcile: {line}" for line in foreseen(found, settings)))
        return
    check_removals(found, settings)
    say(f"reconcile: {write_manifests(settings, found)} manifests written")


def compare(settings: ReconcileSettings, current: Current, choice: ImageFilter) -> Plan:
    """What differs between the rows and the listing, or the report of S3 Inventory; `choice` counts what is no image."""
    report = Inventory.load(settings.inventory, settings.images) if settings.inventory else None
    table, denied = Snapshot(settings.root), set[str]()
    rows = row_hashes(table, settings, current, report.made if report else None)
    stats = report.stats(settings.images) if report else prefix_listing.listed(settings.images, denied.add, settings.listers)
    gone = register.erased_since(settings.root, report.made) if report else Tombstones(None)
    listed = list_images(settings, (stat for stat in stats if choice.takes(stat.path) and not gone.covers(stat.path)), rows)
    check_prefix(settings, len(listed) + len(rows))
    named, counts_as_gone = partial(named_rows, settings, current), partial(is_to_be_listed, choice, denied)
    return differences.compared(listed, rows, named, current.fingerprint, counts_as_gone)


def take_out_lost_files(settings: ReconcileSettings) -> bool:
    """Removes lost or damaged data files from the table, and prints which. Returns whether a dry run ends here."""
    if settings.dry_run:
        found, done = repair.losses(settings.root), "would be taken out of the table"
    else:
        found = repair.repair(settings.root)
        done = "taken out of the table"
    say(*(f"reconcile: {loss}: {done}" for loss in found))
    say(f"reconcile: {len(found)} files lost or damaged, with {data_integrity.rows_lost(found)} rows, whose images come again")
    others = [prefix for prefix in naming.of(settings.root).prefixes if prefix != settings.images] if found else []
    for prefix in others:
        again = f"run fruitpipe reconcile --images {prefix} --root {settings.root} too"
        say(f"reconcile: images below {prefix} may be among them: {again}")
    return settings.dry_run and bool(found)


def check_prefix(settings: ReconcileSettings, below: int) -> None:
    """Raises NoImages where neither an image nor a row lies under the prefix, though there are rows: it is mistyped."""
    if not below and Snapshot(settings.root).query("SELECT path FROM features LIMIT 1"):
        raise NoImages(f"{settings.images}: neither an image nor a row of the table is there; check --images and --glob")


def list_images(settings: ReconcileSettings, stats: Iterator[objects.Stat], rows: HashIndex) -> Listed:
    """The images that a listing finds, but for those that were erased, beside the rows; prints a line for each TOLD of them."""
    erased = Tombstones.of(settings.root)
    return differences.of_listing((stat for stat in told(stats) if not erased.keeps_out(stat.path)), rows)


def told(stats: Iterator[objects.Stat]) -> Iterator[objects.Stat]:
    """The same; prints how many there were, now and then."""
    for count, stat in enumerate(stats, 1):
        yield stat
        if count % TOLD == 0:
            say(f"reconcile: {count} images listed, more to come")


def is_to_be_listed(choice: ImageFilter, denied: set[str], path: str) -> bool:
    """Whether the listing would have found an image of this path, if it were there."""
    return choice.would_take(path) and not removals.lies_in(denied, path)


def row_hashes(table: Snapshot, settings: ReconcileSettings, current: Current, since: datetime | None = None) -> HashIndex:
    """The hashes of every row under the prefix, ODD at those that are stale or to be looked at again. Without Spark.

    since: rows made later are NEWER.

    Raises WrongRoot for a table that is not fruitpipe's, Damaged for one of which a file is lost.
    """
    requirements.check(table)
    table.check_whole()
    flags = {ODD: f"{lookup.may_be_read_now(settings.max_image_bytes)} OR {current.sql()} <> {text(current.fingerprint)}"}
    if since:
        flags[NEWER] = f"ingested_at > {timestamp(since)}"
    return path_hashes.of_table(table, settings.images, flags).below()


def named_rows(settings: ReconcileSettings, current: Current, paths: NDArray[np.int64]) -> pa.Table:
    """What the comparison needs of the rows under the prefix whose paths have these hashes, which are sorted, as ROWS.

    The table as it is now: a listing takes long, and meanwhile a vacuum may have removed files of the version before it.
    Rows that are up to date have the current fingerprint, whichever part of the preprocessing made them.
    """
    etag, archived = "split_part(etag, '@', 1) AS etag", "coalesce(error = 'archived', false) AS archived"
    again = f"{lookup.may_be_read_now(settings.max_image_bytes)} AS again"
    columns = f"path, {etag}, length, {archived}, {current.sql()} AS extractor, {again}, sha256(path) AS hash"
    sql = f"SELECT {columns} FROM features WHERE {path_hashes.lies_below(settings.images)}"  # noqa: S608 - quoted
    return pa.concat_tables([reconciliation.ROWS.empty_table(), *Snapshot(settings.root).each(sql, partial(_asked, paths))])


def _asked(paths: NDArray[np.int64], batch: pa.RecordBatch) -> pa.Table:
    is_asked = among(paths, path_hashes.numbers(batch["hash"]))
    rows = pa.Table.from_batches([batch.select(reconciliation.ROWS.names)]).cast(reconciliation.ROWS)
    return rows.filter(pa.array(is_asked))


def foreseen(found: Plan, settings: ReconcileSettings) -> Iterator[str]:
    """Lines with the plan's estimated time and cost, and the figures that they are computed from."""
    for extractor, count in sorted(found.stale_by_extractor.items()):
        yield f"{count} of the stale are of the extractor {extractor}"
    hours = found.looks / settings.images_per_second / 3600
    reads = found.looks * settings.euros_per_1000_reads / 1000 if objects.is_s3(settings.images) else 0
    yield (
        f"{found.looks} images to featurise would take {60 * hours:.1f} minutes and "
        f"{hours * settings.euros_per_hour + reads:.2f} euros (at {settings.images_per_second:g} images a second, "
        f"{settings.euros_per_hour:g} euros an hour and {settings.euros_per_1000_reads:g} euros for 1,000 reads)"
    )
    if too_many_gone(found) and not settings.allow_removals:
        yield f"{len(found.gone)} of {found.rows} rows would go, more than a tenth: that would take --allow-removals"
    yield "nothing was written, as --dry-run asks"


def too_many_gone(found: Plan) -> bool:
    """Whether so many images are gone that the listing is more likely to be wrong."""
    return removals.too_many(len(found.gone), found.moved, found.rows)


def check_removals(found: Plan, settings: ReconcileSettings) -> None:
    """Raises RemovalsRefused where too many images are gone."""
    if too_many_gone(found) and not settings.allow_removals:
        raise RemovalsRefused(
            f"{settings.images}: {len(found.gone)} of {found.rows} images in the table are not there, more than a tenth; "
            "nothing was written. Check --images, or say --allow-removals"
        )


def write_manifests(settings: ReconcileSettings, found: Plan) -> int:
    """Writes the plan's events where the stream reads them, the stale ones apart, and returns the number of manifests."""
    root, now = settings.root, datetime.now(UTC)
    bodies = list(manifests.manifests(found.events()))
    for body in bodies:
        objects.write(manifests.manifest_uri(root, now, manifests.manifest_name("reconcile", now, body)), body)
    return len(bodies) + recompute.ask(root, found.stale, settings.images)
