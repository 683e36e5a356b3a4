"""The stream: watches the image prefix and the manifests, and keeps one row per image in the features table.

A listing of the prefix writes manifests as well, so a micro-batch is lines of manifests, and only names images. The driver
reduces it to one reference an image and adds the facts of its row. The workers look at the objects themselves, so the object
store decides, not a listing or an event. A batch that runs again, after a crash or with a lost checkpoint, finds its rows in
the table and costs one look an image.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.choices import Decoding
from fruitpipe.erasure import register
from fruitpipe.erasure.execution import Eraser
from fruitpipe.extractor import featurise
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.ingest import checkpoint, checkpoint_renewal, prefix_listing, recompute, root_upkeep, waiting_manifests
from fruitpipe.ingest.micro_batch import Batches, summary
from fruitpipe.ingest.mount import Mount, OtherPrefixes
from fruitpipe.ingest.prefix_check import check_images
from fruitpipe.ingest.prefix_listing import Listing
from fruitpipe.ingest.removals import Removals
from fruitpipe.ingest.root_upkeep import RootUpkeep
from fruitpipe.ingest.seen import Seen
from fruitpipe.ingest.stream import Stream
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
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from fruitpipe.pictures.naming import Naming


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
        if settings.once and not session.is_submitted() and is_done(settings, prefix):
            done = Counter[str]()
        else:
            done = stream(model, fence, prefix, hashes, Hearers(heard, told))
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
        beside = tuple(prefix for prefix in naming.of(settings.root).prefixes if prefix != settings.images)
        eraser = Eraser(spark, settings, fence, hearers.of_runs)
        within_reach = OtherPrefixes(settings.root, beside).within_reach
        batches = Batches(settings, upsert, eraser, bar, upkeep.wants_renewal, within_reach, *hearers)
        Stream(spark, batches, upkeep, prefix, hashes).run()
    return batches.outcomes


def is_done(settings: IngestSettings, prefix: Listing) -> bool:
    """Whether a run with `--once` has nothing to do. Needs no Spark, which takes some seconds to start.

    What is new under the prefix is listed last, as it becomes manifests.
    """
    root = settings.root
    return (
        delta.is_ours(root, settings.vacuum_hours)
        and register.is_settled(root)
        and not (settings.stale_per_second and recompute.asked(root))
        and not root_upkeep.is_clearing_due(settings, root_upkeep.last_cleared(root))
        and not checkpoint_renewal.is_due(settings)
        and not (settings.source == "prefix" and prefix.list_once())
        and not waiting_manifests.unread(root, checkpoint.place(root))
    )


def upserter(spark: SparkSession, model: ModelFile, fence: Fence, prefix: Listing, hashes: KeptRowHashes) -> Upsert:
    """The job's Upsert; the model is sent to the workers once."""
    settings = prefix.settings
    broadcast, in_full = spark.sparkContext.broadcast(model), settings.decode == Decoding.full
    rule = naming.of(settings.root)
    limits = settings.max_image_bytes, settings.max_image_seconds
    featuriser = featurise.Featuriser(
        broadcast, fingerprint(model), *limits, naming=rule, preprocessing=model.preprocessing, in_full=in_full
    )
    look_up = Lookup(lambda: hashes().paths, partial(lookup.of_paths, settings.root))
    return Upsert(spark, settings.root, featuriser, fence, look_up, prefix.found_gone)


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
