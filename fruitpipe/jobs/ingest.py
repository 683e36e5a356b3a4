"""The stream: watches the image prefix and the manifests, and keeps one row per image in the features table.

A listing of the prefix writes manifests as well, so a micro-batch is lines of manifests, and only names images. The driver
reduces it to one reference an image and adds the facts of its row. The workers look at the objects themselves, so the object
store decides, not a listing or an event. A batch that runs again, after a crash or with a lost checkpoint, finds its rows in
the table and costs one look an image.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.choices import Decoding
from fruitpipe.erasure import register
from fruitpipe.erasure.execution import Eraser
from fruitpipe.extractor import featurise
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.ingest import checkpoint, checkpoint_renewal, prefix_listing, recompute, root_upkeep, waiting_manifests
from fruitpipe.ingest.local_workers import LocalWorkers, There
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.ingest.mount import Mount, OtherPrefixes
from fruitpipe.ingest.prefix_check import check_images
from fruitpipe.ingest.prefix_listing import Listing
from fruitpipe.ingest.removals import Removals
from fruitpipe.ingest.root_upkeep import RootUpkeep
from fruitpipe.ingest.seen import Seen
from fruitpipe.ingest.small_run import Appends, NeedsSpark, SmallRun
from fruitpipe.ingest.spark_commits import SparkCommits
from fruitpipe.ingest.spark_workers import SparkWorkers
from fruitpipe.ingest.stream import Stream
from fruitpipe.ingest.tally import Tally, summary
from fruitpipe.ingest.upsert import Upsert
from fruitpipe.operations import metrics
from fruitpipe.output import say
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.root import layout, lease
from fruitpipe.runtime import lineage, progress, session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta, lookup, snapshot
from fruitpipe.table.fence import Fence
from fruitpipe.table.lookup import Lookup
from fruitpipe.table.path_hashes import KeptRowHashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import SparkSession

    from fruitpipe.pictures.naming import Naming
    from fruitpipe.root.manifests import ImageEvent


class Hearers(NamedTuple):
    """Who is told while the stream runs: of each commit the metrics, of each batch a server of OpenLineage."""

    of_commits: Callable[[progress.Commit], None]
    of_runs: lineage.Lineage


def ingest(settings: IngestSettings) -> None:
    """Runs the stream until it has caught up (`once`) or is told to stop."""
    layout.check(settings.root)
    snapshot.check(settings.root)
    rule = naming_rule(settings)
    check_images(settings, rule)
    model = ModelFile.load(settings.model, settings.extractor)
    told = lineage.Lineage(settings.root, settings.openlineage_url)
    objects.check_drive(settings.root)
    served = metrics.served(settings.root, settings.metrics_port, settings.metrics_host)
    with lease.held(settings.root) as held, served as heard, session.explained():
        fence = Fence(settings.root, held.check)
        hashes = KeptRowHashes(settings.root, settings.images)
        naming.keep(settings.root, rule)
        prefix = listing(settings, rule, hashes)
        hearers = Hearers(heard, told)
        done = None if session.is_submitted() else without_spark(model, fence, prefix, hashes, hearers)
        if done is None:
            done = stream(model, fence, prefix, hashes, hearers)
    say(f"ingest: {summary(done)}")


def naming_rule(settings: IngestSettings) -> Naming:
    """The root's rule for labels. A root that has a table and no rule of its own is an old one, whatever its table lacks."""
    return naming.proposed(settings, is_new=lambda: delta.is_new(settings.root))


def stream(model: ModelFile, fence: Fence, prefix: Listing, hashes: KeptRowHashes, hearers: Hearers) -> Counter[str]:
    """Starts Spark and runs the stream to its end; images by outcome."""
    settings = prefix.settings
    spark = session.open("fruitpipe ingest", settings.images, settings.root)
    upsert = upserter(spark, model, fence, prefix, hashes)
    upsert.start_workers()
    delta.create(spark, settings.root, fence, settings.vacuum_hours)
    checkpoint_renewal.renew(settings)
    objects.write(objects.join(layout.folder(settings.root, "events"), "_exists"), b"")
    with progress.bar("ingest", wanted=settings.once) as bar:
        upkeep = RootUpkeep(spark, settings, fence)
        eraser = Eraser(spark, settings, fence, hearers.of_runs)
        tally = Tally(bar, hearers.of_commits, settings.log_json)
        upsert = replace(upsert, bar=bar)
        batches = Batches(settings, upsert, eraser, tally, upkeep.wants_renewal, within_reach(settings), hearers.of_runs)
        Stream(spark, batches, upkeep, prefix, hashes).run()
    return tally.outcomes


def without_spark(
    model: ModelFile, fence: Fence, prefix: Listing, hashes: KeptRowHashes, hearers: Hearers
) -> Counter[str] | None:
    """A run with `--once` that has nothing to do, or few new images; images by outcome. None where it takes Spark.

    Spark takes some seconds to start. What is new under the prefix becomes manifests in any case.
    """
    settings = prefix.settings
    if not (settings.once and is_settled(settings)):
        return None
    if settings.source == "prefix":
        prefix.list_once()
    waiting = waiting_manifests.unread(settings.root, checkpoint.place(settings.root))
    if not waiting:
        return Counter() if delta.is_ours(settings.root, settings.vacuum_hours) else None
    if not settings.images_without_spark or settings.manifest_days:
        return None
    with progress.bar("ingest") as bar, closing(LocalWorkers(model)) as workers:
        rows, featurise_by = Appends(settings.root, fence), featuriser(settings, model, There())
        upsert = Upsert(workers, rows, settings.root, featurise_by, fence, look_up(settings, hashes), prefix.found_gone, bar)
        tally = Tally(bar, hearers.of_commits, settings.log_json)
        try:
            SmallRun(settings, upsert, look_up(settings, hashes), tally, within_reach(settings), hearers.of_runs)(waiting)
        except NeedsSpark:
            return None
    return tally.outcomes


def is_settled(settings: IngestSettings) -> bool:
    """Whether nothing but images may wait: no erasure, recomputation or upkeep, and a table as it is made today, or none yet."""
    root = settings.root
    is_there = delta.is_ours(root, settings.vacuum_hours)
    return (
        (is_there or not objects.children(delta.folder(root)))
        and register.is_settled(root)
        and not (settings.stale_per_second and recompute.asked(root))
        and not (is_there and root_upkeep.is_clearing_due(settings, root_upkeep.last_cleared(root)))
        and not checkpoint_renewal.is_due(settings)
    )


def upserter(spark: SparkSession, model: ModelFile, fence: Fence, prefix: Listing, hashes: KeptRowHashes) -> Upsert:
    """The job's Upsert by Spark; the model is sent to the workers once."""
    settings = prefix.settings
    workers, rows = SparkWorkers(spark), SparkCommits(spark, settings.root, fence)
    featurise_by = featuriser(settings, model, spark.sparkContext.broadcast(model))
    return Upsert(workers, rows, settings.root, featurise_by, fence, look_up(settings, hashes), prefix.found_gone)


def featuriser(settings: IngestSettings, model: ModelFile, broadcast: featurise.Broadcast) -> featurise.Featuriser:
    """What each worker does with an image. broadcast: how it gets the model."""
    return featurise.Featuriser(
        broadcast,
        fingerprint(model),
        settings.max_image_bytes,
        settings.max_image_seconds,
        naming=naming.of(settings.root),
        preprocessing=model.preprocessing,
        in_full=settings.decode == Decoding.full,
    )


def look_up(settings: IngestSettings, hashes: KeptRowHashes) -> Lookup:
    """The table's rows of images."""
    return Lookup(lambda: hashes().paths, partial(lookup.of_paths, settings.root))


def within_reach(settings: IngestSettings) -> Callable[[Sequence[ImageEvent]], list[ImageEvent]]:
    """Leaves out images below other prefixes of the root that are not there now."""
    beside = tuple(prefix for prefix in naming.of(settings.root).prefixes if prefix != settings.images)
    return OtherPrefixes(settings.root, beside).within_reach


def listing(settings: IngestSettings, rule: Naming, hashes: KeptRowHashes) -> Listing:
    """The listing of the prefix; images that have a row or wait in a manifest count as seen."""
    place, choice = checkpoint.place(settings.root), ImageFilter(rule, settings.glob)
    removals = Removals(settings, place, Mount(settings.images), choice)
    return Listing(settings, partial(rows_and_waiting, settings.root, hashes), removals, rule)


def rows_and_waiting(root: str, hashes: KeptRowHashes) -> Seen:
    """The images below the prefix that have a row, and those that will have one."""
    rows = hashes()
    waiting = waiting_manifests.unread(root, checkpoint.place(root), prefix_listing.WRITER)
    return Seen.of(rows.paths[rows.below], rows.images[rows.below]).updated(waiting_manifests.named_in(waiting))
