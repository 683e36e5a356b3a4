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
from fruitpipe.erasure import register
from fruitpipe.extractor.inference import ModelFile
from fruitpipe.ingest import checkpoint, checkpoint_renewal, prefix_listing, recompute, root_upkeep, waiting_manifests
from fruitpipe.ingest.mount import Mount
from fruitpipe.ingest.prefix_check import check_images
from fruitpipe.ingest.prefix_listing import Listing
from fruitpipe.ingest.removals import Removals
from fruitpipe.ingest.tally import summary
from fruitpipe.operations import metrics
from fruitpipe.output import say
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.root import layout, lease
from fruitpipe.runtime import lineage
from fruitpipe.runtime.submission import is_submitted
from fruitpipe.table import delta, snapshot
from fruitpipe.table.fence import Fence
from fruitpipe.table.hash_index import HashIndex
from fruitpipe.table.kept_hashes import KeptRowHashes

if TYPE_CHECKING:
    from collections.abc import Callable

    from fruitpipe.pictures.naming import Naming
    from fruitpipe.runtime import progress
    from fruitpipe.settings import IngestSettings


class Parts(NamedTuple):
    """What the job is put together of, with Spark or without.

    heard, told: who is told while it runs: of each commit the metrics, of each batch a server of OpenLineage.
    """

    model: ModelFile
    fence: Fence
    prefix: Listing
    hashes: KeptRowHashes
    heard: Callable[[progress.Commit], None]
    told: lineage.Lineage


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
    with lease.held(settings.root) as held, served as heard:
        fence = Fence(settings.root, held.check)
        hashes = KeptRowHashes(settings.root, settings.images)
        naming.keep(settings.root, rule)
        parts = Parts(model, fence, listing(settings, rule, hashes), hashes, heard, told)
        done = None if is_submitted() else without_spark(parts)
        if done is None:
            from fruitpipe.jobs.ingest_with_spark import stream

            done = stream(parts)
    say(f"ingest: {summary(done)}")


def naming_rule(settings: IngestSettings) -> Naming:
    """The root's rule for labels. A root that has a table and no rule of its own is an old one, whatever its table lacks."""
    return naming.proposed(settings, is_new=lambda: delta.is_new(settings.root))


def without_spark(parts: Parts) -> Counter[str] | None:
    """A run with `--once` that has nothing to do, or few new images; images by outcome. None where it takes Spark.

    Spark takes some seconds to start. What is new under the prefix becomes manifests in any case.
    """
    settings = parts.prefix.settings
    if not (settings.once and is_settled(settings)):
        return None
    if settings.source == "prefix" and parts.prefix.list_once() > settings.images_without_spark:
        return None
    waiting = waiting_manifests.unread(settings.root, checkpoint.place(settings.root))
    if not waiting:
        return Counter() if delta.is_ours(settings.root, settings.vacuum_hours) else None
    if not settings.images_without_spark or settings.manifest_days:
        return None
    from fruitpipe.jobs.ingest_without_spark import take_in

    return take_in(parts, waiting)


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


def listing(settings: IngestSettings, rule: Naming, hashes: KeptRowHashes) -> Listing:
    """The listing of the prefix; images that have a row or wait in a manifest count as seen."""
    place, choice = checkpoint.place(settings.root), ImageFilter(rule, settings.glob)
    removals = Removals(settings, place, Mount(settings.images), choice)
    return Listing(settings, partial(rows_and_waiting, settings.root, hashes), removals, rule)


def rows_and_waiting(root: str, hashes: KeptRowHashes) -> HashIndex:
    """The images below the prefix that have a row, and those that will have one."""
    waiting = waiting_manifests.unread(root, checkpoint.place(root), prefix_listing.WRITER)
    return hashes().below().updated(waiting_manifests.named_in(waiting))
