"""What new images cost when there are many already: time from upload to row, by events and by listing. Prints a table.

    python benchmarks/growth.py                            1,000, 10,000 and 100,000 images under the prefix and in the table
    python benchmarks/growth.py --sizes 500 2000 --rounds 2

At each size the bucket holds that many objects and the features table their rows, with drawn features; both streams have seen
them, and the events stream their manifests, too. Then, with the stream warm, 100 new images are uploaded together (and their
manifest written, for events) and the clock runs until the last has its row. Median of the rounds, with the fastest and the
slowest. Everything lies on an S3 server on this machine, whose listing costs more the more there is, as S3's does.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks import s3_server, stream
from fruitpipe import objects
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.extractor.mobilenet import FEATURES
from fruitpipe.refit.on_spark import vectors_of
from fruitpipe.runtime import session
from fruitpipe.runtime.progress import Commit
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta, schema
from tests.pictures import jpeg
from tests.rows import append_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

IMAGES, ROOT = "s3://fruits/images", "s3://fruits/root"
LABELS = 100
NEW_IMAGES = 100
ROWS_PER_FILE = 2_000  # what one batch of the stream brings
TINY = b"tiny"
SCHEMA = "path string, label string, features array<float>"


def key(number: int) -> str:
    """The key of image `number`, such that each batch meets every label."""
    return f"images/Label {number % LABELS:03}/{number:07}.jpg"


def fill(spark: SparkSession, server: s3_server.S3Server, first: int, end: int) -> None:
    """Objects, rows and manifests of images `first` to `end`."""
    keys = [key(number) for number in range(first, end)]
    etag = server.put_beside("fruits", keys, TINY)
    made = spark.range(first, end, numPartitions=-(-(end - first) // ROWS_PER_FILE)).mapInArrow(_rows, SCHEMA)
    extractor = fingerprint(ModelFile.load(IngestSettings(images=IMAGES, root=ROOT).model))
    have = {
        "path": F.col("path"),
        "label": F.col("label"),
        "features": F.col("features"),
        "etag": F.lit(etag),
        "length": F.lit(len(TINY)),
        "extractor": F.lit(extractor),
        "ingested_at": F.lit(datetime.now(UTC)),
    }
    columns = [have.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in schema.FEATURES]
    delta.create(spark, ROOT)
    append_rows(ROOT, made.select(*columns))
    stream.announce(ROOT, [f"s3://fruits/{name}" for name in keys])


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Runs in the Python workers: numbers of images to rows with drawn features."""
    for batch in batches:
        numbers: list[int] = batch.column(0).to_numpy().tolist()
        paths = [f"s3://fruits/{key(number)}" for number in numbers]
        drawn = np.random.default_rng(numbers[0]).uniform(0, 6, (len(numbers), FEATURES)).astype(np.float32)
        labels = [path.split("/")[-2] for path in paths]
        yield pa.RecordBatch.from_arrays([pa.array(paths), pa.array(labels), vectors_of(drawn)], ["path", "label", "features"])


def pass_over(spark: SparkSession, settings: IngestSettings, count: int) -> None:
    """Lets a stream see the images whose rows are there, without looking at each: 100,000 looks would take minutes."""
    passed = settings.model_copy(update={"max_files_per_trigger": count})
    with stream.running(spark, passed, lambda named, _: [Commit(Counter(unchanged=len(named)))]) as (_, query):
        query.processAllAvailable()


def upload(settings: IngestSettings, bodies: dict[str, bytes]) -> None:
    """Uploads images together, and writes their manifest where the stream waits for one."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(objects.write, bodies, bodies.values()))
    if settings.source == "events":
        stream.announce(ROOT, list(bodies))


def rounds(spark: SparkSession, settings: IngestSettings, first: int, count: int) -> list[float]:
    """Seconds from upload to row of `count` times 100 images, after one round that warms up."""
    took = []
    with stream.running(spark, settings) as (watched, _):
        for start in range(first, first + (count + 1) * NEW_IMAGES, NEW_IMAGES):
            bodies = {f"s3://fruits/{key(number)}": jpeg(number) for number in range(start, start + NEW_IMAGES)}
            began = time.perf_counter()
            upload(settings, bodies)
            took.append(watched.wait(list(bodies)) - began)
    return took[1:]


def spread(times: list[float]) -> str:
    return f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})"


def measure(server: s3_server.S3Server, sizes: list[int], count: int) -> None:
    os.environ |= server.environment
    server.bucket("fruits")
    spark = session.open("fruitpipe benchmark: growth", IMAGES, ROOT)
    there = 0
    took: dict[tuple[str, int], list[float]] = {}
    print("| images there | events: s | prefix: s |", "|---|---|---|", sep="\n", flush=True)
    for size in sizes:
        fill(spark, server, there, size)
        for source in ("events", "prefix"):
            settings = IngestSettings(images=IMAGES, root=ROOT, source=source, trigger_seconds=0)
            pass_over(spark, settings, size)
            first = 1_000_000 + (len(took) + 1) * 10_000
            took[source, size] = rounds(spark, settings, first, count)
        there = size
        print(f"| {size:,} | {spread(took['events', size])} | {spread(took['prefix', size])} |", flush=True)
    for source in ("events", "prefix"):
        ratio = median(took[source, sizes[-1]]) / median(took[source, sizes[0]])
        print(f"{source}: {ratio:.2f} x from {sizes[0]:,} to {sizes[-1]:,} images")
    spark.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Upload to row of 100 new images, by what is there already.")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="images there (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="measured at each size (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder, s3_server.started(Path(folder)) as server:
        measure(server, given.sizes, given.rounds)


if __name__ == "__main__":
    main()
