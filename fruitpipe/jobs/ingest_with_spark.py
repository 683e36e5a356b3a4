"""The stream, on Spark. A run that starts none does not import this module: pyspark takes 0.2 s of processor time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure.execution import Eraser
from fruitpipe.ingest import checkpoint_renewal
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.ingest.root_upkeep import RootUpkeep
from fruitpipe.ingest.spark_commits import SparkCommits
from fruitpipe.ingest.spark_workers import SparkWorkers
from fruitpipe.ingest.stream import Stream
from fruitpipe.ingest.tally import Tally
from fruitpipe.ingest.upsert import Upsert
from fruitpipe.jobs.ingest_parts import featuriser, look_up, within_reach
from fruitpipe.root import layout
from fruitpipe.runtime import progress, session
from fruitpipe.table import delta

if TYPE_CHECKING:
    from collections import Counter

    from pyspark.sql import SparkSession

    from fruitpipe.extractor.inference import ModelFile
    from fruitpipe.ingest.prefix_listing import Listing
    from fruitpipe.jobs.ingest import Parts
    from fruitpipe.table.fence import Fence
    from fruitpipe.table.kept_hashes import KeptRowHashes


@session.explained()
def stream(parts: Parts) -> Counter[str]:
    """Starts Spark and runs the stream to its end; images by outcome."""
    prefix, fence, hashes, told = parts.prefix, parts.fence, parts.hashes, parts.told
    settings = prefix.settings
    spark = session.open("fruitpipe ingest", settings.images, settings.root)
    upsert = upserter(spark, parts.model, fence, prefix, hashes)
    upsert.start_workers()
    delta.create(spark, settings.root, fence, settings.vacuum_hours)
    checkpoint_renewal.renew(settings)
    objects.write(objects.join(layout.folder(settings.root, "events"), "_exists"), b"")
    with progress.bar("ingest", wanted=settings.once) as bar:
        upkeep = RootUpkeep(spark, settings, fence)
        eraser = Eraser(spark, settings, fence, told)
        tally = Tally(bar, parts.heard, settings.log_json)
        upsert = replace(upsert, bar=bar)
        batches = Batches(settings, upsert, eraser, tally, upkeep.wants_renewal, within_reach(settings), told)
        Stream(spark, batches, upkeep, prefix, hashes).run()
    return tally.outcomes


def upserter(spark: SparkSession, model: ModelFile, fence: Fence, prefix: Listing, hashes: KeptRowHashes) -> Upsert:
    """The job's Upsert by Spark; the model is sent to the workers once."""
    settings = prefix.settings
    workers, rows = SparkWorkers(spark), SparkCommits(spark, settings.root, fence)
    featurise_by = featuriser(settings, model, spark.sparkContext.broadcast(model))
    return Upsert(workers, rows, settings.root, featurise_by, fence, look_up(settings, hashes), prefix.found_gone)
