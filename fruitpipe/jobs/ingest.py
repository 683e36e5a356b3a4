"""The stream: watches the image prefix and the manifests, and keeps one row per image in the features table.

What a listing of the prefix finds is written down in manifests too, so a micro-batch is lines of manifests, and only names
images. The driver reduces it to one reference an image and adds what the table knows of it; the workers look at the objects
themselves, so whatever a listing or an event claims, the object store decides. A batch that is run again, after a crash or from
a lost checkpoint, therefore finds its rows there and costs one look an image.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.erasure.execution import Eraser
from fruitpipe.errors import NoImages, WrongUsage
from fruitpipe.extractor import featurise
from fruitpipe.extractor.inference import Model, fingerprint
from fruitpipe.ingest import checkpoint, housekeeping, prefix_listing, recompute, waiting_manifests
from fruitpipe.ingest.between_batches import Between
from fruitpipe.ingest.housekeeping import Housekeeper
from fruitpipe.ingest.micro_batch import Batches, Stopping, summary
from fruitpipe.ingest.mount import Mount
from fruitpipe.ingest.prefix_listing import Listing
from fruitpipe.ingest.removals import Removals
from fruitpipe.ingest.repeated_listing import Repeated
from fruitpipe.ingest.seen import Seen
from fruitpipe.ingest.upsert import Upsert
from fruitpipe.output import say
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.links import Links
from fruitpipe.root import layout, lease
from fruitpipe.runtime import progress, session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta, lookup, path_hashes, snapshot
from fruitpipe.table.fence import Fence
from fruitpipe.table.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from fruitpipe.pictures.naming import Naming
    from fruitpipe.table.path_hashes import RowHashes

    ReadHashes = Callable[[], RowHashes]

EVER = "36500d"  # Spark's file source forgets, and then ignores, files older than this
POLL_SECONDS = 0.2
EVENT_BYTES = 256  # an event as the collector writes it; a manifest may hold one or thousands, so a batch is bounded by bytes


def ingest(settings: IngestSettings) -> None:
    """Runs the stream until it has caught up (`once`) or is told to stop."""
    layout.check(settings.root)
    snapshot.check(settings.root)
    rule = naming.proposed(settings, is_new=not delta.is_ours(settings.root))
    check_images(settings, rule)
    model = Model.load(settings.model, settings.extractor)
    with lease.held(settings.root) as held, session.explained():
        fence = Fence(settings.root, held.check)
        read = cache(partial(path_hashes.of_rows, settings.root, settings.images))
        naming.keep(settings.root, rule)
        prefix = listing(settings, rule, read)
        if settings.once and not session.is_submitted() and is_done(settings, prefix):
            say(f"ingest: {summary(Counter())}")
            return
        spark = session.open("fruitpipe ingest", settings.images, settings.root)
        upsert = upserter(spark, model, fence, prefix, read)
        upsert.start_workers()
        delta.create(spark, settings.root, fence)
        renew_checkpoint(settings)
        objects.write(objects.join(layout.folder(settings.root, "events"), "_exists"), b"")
        with progress.bar("ingest", wanted=settings.once) as bar:
            keeper = Housekeeper(spark, settings, fence)
            batches = Batches(settings, upsert, Eraser(spark, settings, fence), bar, keeper.wants_renewal)
            repeated = Repeated(prefix)
            between = Between(batches, keeper, repeated)
            batches.eraser.carry_out()
            while watch(spark, batches, between, prefix, repeated):
                between.wait()
                if keeper.wants_renewal():
                    renew_full_checkpoint(settings, keeper)
                if not batches.eraser.is_due():
                    continue
                batches.eraser.carry_out()
                if settings.once:
                    break
                read.cache_clear()  # some rows are gone
                prefix.begin_anew()
    say(f"ingest: {summary(batches.outcomes)}")


def is_done(settings: IngestSettings, prefix: Listing) -> bool:
    """Whether a run that is to catch up would find nothing to do, as seen without Spark, which takes some seconds to start.

    What is new under the prefix is listed last, as it becomes manifests.
    """
    root, place = settings.root, checkpoint_of(settings.root)
    return (
        delta.is_ours(root)
        and register.is_settled(root)
        and not (settings.stale_per_second and recompute.asked(root))
        and not housekeeping.is_clearing_due(settings, housekeeping.last_cleared(root))
        and not checkpoint.is_damaged(place)
        and not checkpoint.is_old(place, settings.checkpoint_days)
        and not (settings.source == "prefix" and prefix.list_once())
        and not waiting_manifests.unread(root, place)
    )


def upserter(spark: SparkSession, model: Model, fence: Fence, prefix: Listing, read: ReadHashes) -> Upsert:
    """What commits a batch of this job; the model goes to the workers once."""
    settings = prefix.settings
    broadcast = spark.sparkContext.broadcast(model)
    limits = settings.max_image_bytes, settings.max_image_seconds
    featuriser = featurise.Featuriser(broadcast, fingerprint(model), *limits, naming=naming.of(settings.root))
    look_up = Lookup(lambda: read().paths, partial(lookup.of_paths, settings.root))
    return Upsert(spark, settings.root, featuriser, fence, look_up, prefix.found_gone)


def check_images(settings: IngestSettings, rule: Naming) -> None:
    """Raises NoImages where a listing would never find anything: most likely the prefix is mistyped. Raises WrongUsage."""
    if settings.source == "events":
        return
    check_not_known(settings, rule)
    choice = ImageFilter(rule, settings.glob)
    if next(prefix_listing.images(settings.images, choice), None):
        return
    if not objects.exists(settings.images):
        raise NoImages(f"{settings.images}: there is nothing there; check --images, or upload images first")
    found = f" ({choice})" if str(choice) else ""
    raise NoImages(
        f"{settings.images}: no image matches {settings.glob}{found}; check --images and --glob, or upload images first"
    )


def check_not_known(settings: IngestSettings, rule: Naming) -> None:
    """Raises WrongUsage where the folder has another name, as through a link, under which its images have rows already."""
    images, root = settings.images, settings.root
    if objects.is_s3(images) or not delta.is_ours(root):
        return
    others = (Links(rule.prefixes).own_name(images), images if images in naming.of(root).prefixes else objects.real(images))
    for other in others:
        if other != images and (rows := snapshot.Snapshot(root).rows_below(other)):
            raise WrongUsage(f"{images}: is the same folder as {other}, where {rows} rows are; give --images {other}")


def watch(spark: SparkSession, batches: Batches, between: Between, prefix: Listing, repeated: Repeated) -> bool:
    """Runs the query, and the listing that feeds it, until one of them is to end; whether to begin again."""
    with listed(batches.settings, prefix, repeated):
        batches.bar.expect(partial(to_come, batches.settings.root))
        return run(start(spark, batches.settings, batches), batches, between)


@contextmanager
def listed(settings: IngestSettings, prefix: Listing, repeated: Repeated) -> Iterator[None]:
    """While the block runs, what is new under the image prefix becomes manifests, unless events tell of it."""
    if settings.source == "events":
        yield
    elif settings.once:
        if not prefix.is_listed:
            prefix.list_once()
        yield
    else:
        with repeated.running():
            yield


def to_come(root: str) -> int:
    """How many events wait in manifests, for the bar: about as many images."""
    return waiting_manifests.count_lines(waiting_manifests.unread(root, checkpoint_of(root)))


def listing(settings: IngestSettings, rule: Naming, read: ReadHashes) -> Listing:
    """The listing of the prefix, to which everything is seen that has a row or waits in a manifest."""
    choice = ImageFilter(rule, settings.glob)
    removals = Removals(settings, checkpoint_of(settings.root), Mount(settings.images), choice)
    return Listing(settings, partial(rows_and_waiting, settings.root, read), removals, rule)


def rows_and_waiting(root: str, read: ReadHashes) -> Seen:
    """The images below the prefix that have a row, and those that will have one."""
    rows = read()
    waiting = waiting_manifests.unread(root, checkpoint_of(root), prefix_listing.WRITER)
    return Seen.of(rows.paths[rows.below], rows.images[rows.below]).updated(waiting_manifests.named_in(waiting))


def renew_checkpoint(settings: IngestSettings) -> None:
    """Has a checkpoint begin anew where that is due: what is done is in the table, so that costs looks and no model call."""
    place = checkpoint_of(settings.root)
    if checkpoint.is_damaged(place):
        checkpoint.drop(place)
        say(f"ingest: {place} has lost its metadata; it begins anew, and what manifests name is looked at once")
    if checkpoint.is_old(place, settings.checkpoint_days):
        checkpoint.drop(place)
        say(f"ingest: {place} was begun {settings.checkpoint_days:g} days ago; it begins anew")


def renew_full_checkpoint(settings: IngestSettings, keeper: Housekeeper) -> None:
    """Has it begin anew while no query runs; what it names is removed first, so that next to nothing is looked at again."""
    housekeeping.clear_manifests(settings)
    checkpoint.drop(checkpoint_of(settings.root))
    keeper.renewed()
    say(f"ingest: {checkpoint_of(settings.root)} named over {housekeeping.MOST_NAMED} manifests that are gone; it begins anew")


def checkpoint_of(root: str) -> str:
    """Where the stream keeps what it has read."""
    return checkpoint.place(root)


def start(spark: SparkSession, settings: IngestSettings, batches: Batches) -> StreamingQuery:
    """Starts the query that reads the manifests."""
    place = objects.for_spark(checkpoint_of(settings.root))
    writer = manifest_lines(spark, settings).writeStream.foreachBatch(batches).option("checkpointLocation", place)
    if settings.once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{round(1000 * settings.trigger_seconds)} milliseconds").start()


def manifest_lines(spark: SparkSession, settings: IngestSettings) -> DataFrame:
    """Every line of every manifest under the root; a batch takes manifests of about as many events as it takes images."""
    folder = objects.for_spark(layout.folder(settings.root, "events"))
    bound = settings.max_files_per_trigger * EVENT_BYTES
    reader = spark.readStream.format("text").options(maxBytesPerTrigger=bound, maxFileAge=EVER)
    reader = reader.options(recursiveFileLookup=True, ignoreMissingFiles=True)
    return reader.option("pathGlobFilter", "*.jsonl").load(folder)


def run(query: StreamingQuery, batches: Batches, between: Between | None = None) -> bool:
    """Waits for the query's end, or ends it after the batch in hand when SIGTERM or Ctrl-C, or an erasure, asks for it.

    Returns whether an erasure is to be carried out, after which the stream goes on.
    """
    asked = threading.Event()
    with _signals(asked):
        _wait(query, batches, between, asked)
    if batches.failure:
        raise batches.failure
    return batches.goes_on(stopped=asked.is_set())


def _wait(query: StreamingQuery, batches: Batches, between: Between | None, asked: threading.Event) -> None:
    try:
        while not (asked.is_set() or batches.wants_pause()) and not query.awaitTermination(POLL_SECONDS):  # type: ignore[arg-type]
            if between:
                between.step(query)
        if between and not (asked.is_set() or batches.wants_pause()):
            between.finish(asked)
        if asked.is_set():
            say("ingest: stopping after the batch in hand ...")
        if asked.is_set() or batches.wants_pause():
            batches.finish(query)
            query.stop()
    except session.SPARK_ERRORS as error:
        if not batches.failure and Stopping.__name__ not in str(error):
            raise
    except BaseException:
        query.stop()
        raise


@contextmanager
def _signals(asked: threading.Event) -> Iterator[None]:
    """What SIGTERM and Ctrl-C do meanwhile: they ask to stop."""
    before = [(number, signal.signal(number, lambda *_: asked.set())) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
