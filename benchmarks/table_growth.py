"""What a batch costs by the rows that the table has: 100 new images, and 100 changed ones. Prints a table, and draws it.

    python benchmarks/table_growth.py                          10,000, 100,000 and 1,000,000 rows; ten minutes, 1.5 GB of disk
    python benchmarks/table_growth.py --sizes 1000 3000 --rounds 2
    python benchmarks/table_growth.py --html growth.html       also a plot, in a file that opens offline

The table is filled with drawn features by Spark, in files of as many rows as a stream's. Its rows are of
images under the same prefix, so that each batch lies among them. Then a stream of manifests runs, on a folder: 100 images are
written and announced together, and the clock runs until the last has its row; the same again with other bytes, which merges them.
The first batch of a stream reads all paths of the table once and stands apart. Medians, with the fastest and the slowest.

Features have 64 different values, which Parquet packs into 6 bits: a million rows of real ones would be 3.5 GB. None is read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks import stream
from benchmarks.growth import NEW_IMAGES, SCHEMA, key, spread
from fruitpipe import objects
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.extractor.mobilenet import FEATURES
from fruitpipe.ingest.chunks import IMAGES_PER_CORE
from fruitpipe.refit.on_spark import vectors_of
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta, schema
from fruitpipe.table.snapshot import Snapshot
from tests.pictures import jpeg
from tests.rows import append_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS_PER_FILE = IMAGES_PER_CORE  # as the chunks of a large batch leave them; of real features they are 3.5 MB, and stay
BLOCK_ROWS = 1_000
VALUES = 64
AFTER = 10_000_000  # the number of the first image that is new


class Times(NamedTuple):
    """Seconds from an image's announcement to its row: the stream's first batch, and each batch of new and of changed images."""

    first: float
    new: list[float]
    changed: list[float]


def fill(spark: SparkSession, settings: IngestSettings, first: int, end: int) -> None:
    """Rows of images `first` to `end`, none of which is there."""
    delta.create(spark, settings.root)
    made = spark.range(first, end, numPartitions=-(-(end - first) // ROWS_PER_FILE))
    made = made.mapInArrow(partial(_rows, folder=settings.images), SCHEMA)
    extractor = {"extractor": F.lit(fingerprint(ModelFile.load(settings.model))), "ingested_at": F.lit(datetime.now(UTC))}
    have = {name: F.col(name) for name in ("path", "label", "features")} | {"etag": F.lit("none")} | extractor
    columns = [have.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in schema.FEATURES]
    append_rows(settings.root, made.select(*columns))


def _rows(batches: Iterable[pa.RecordBatch], folder: str) -> Iterator[pa.RecordBatch]:
    """Runs in the Python workers: numbers of images to rows with drawn features."""
    for batch in batches:
        numbers: list[int] = batch.column(0).to_numpy().tolist()
        for start in range(0, len(numbers), BLOCK_ROWS):
            paths = [objects.canonical(f"{folder}/{key(number)}") for number in numbers[start : start + BLOCK_ROWS]]
            labels = [path.split("/")[-2] for path in paths]
            drawn = np.random.default_rng(numbers[start]).integers(0, VALUES, (len(paths), FEATURES)).astype(np.float32)
            columns = [pa.array(paths), pa.array(labels), vectors_of(drawn * np.float32(6 / VALUES))]
            yield pa.RecordBatch.from_arrays(columns, ["path", "label", "features"])


def batches(spark: SparkSession, settings: IngestSettings, first: int, rounds: int) -> Times:
    """Batches of a stream: one that waits for what it reads once, then `rounds` of new images and of the same ones changed."""
    with stream.running(spark, settings) as (watched, _):
        once = _batch(settings, watched, first, other=False)
        _batch(settings, watched, first, other=True)  # warms up the merge
        new, changed = [], []
        for start in range(first + NEW_IMAGES, first + (rounds + 1) * NEW_IMAGES, NEW_IMAGES):
            new.append(_batch(settings, watched, start, other=False))
            changed.append(_batch(settings, watched, start, other=True))
    return Times(once, new, changed)


def _batch(settings: IngestSettings, watched: stream.Watched, first: int, *, other: bool) -> float:
    """Writes and announces images, waits for their rows, and returns the seconds from the announcement."""
    bodies = {
        objects.canonical(f"{settings.images}/{key(number)}"): jpeg(number + NEW_IMAGES * other)
        for number in range(first, first + NEW_IMAGES)
    }
    for path, body in bodies.items():
        objects.write(path, body)
        watched.committed.pop(path, None)
    began = time.perf_counter()
    stream.announce(settings.root, list(bodies))
    return watched.wait(list(bodies)) - began


def measure(settings: IngestSettings, sizes: list[int], rounds: int) -> dict[int, Times]:
    """The batches at each size, printed as they are known, then how they grow."""
    spark = session.open("fruitpipe benchmark: growth of the table", settings.root)
    there = 0
    took: dict[int, Times] = {}
    print("| rows | files | first batch, s | 100 new images, s | 100 changed images, s |", "|---" * 5 + "|", sep="\n", flush=True)
    for size in sizes:
        fill(spark, settings, there, size)
        files = Snapshot(settings.root).small_files(sys.maxsize)
        times = took[size] = batches(spark, settings, AFTER + len(took) * 100_000, rounds)
        said = f"{times.first:.1f} | {spread(times.new)} | {spread(times.changed)}"
        print(f"| {size:,} | {files:,} | {said} |", flush=True)
        there = size
    for name in ("new", "changed"):
        ratio = median(getattr(took[sizes[-1]], name)) / median(getattr(took[sizes[0]], name))
        print(f"{name} images: {ratio:.2f} x from {sizes[0]:,} to {sizes[-1]:,} rows")
    spark.stop()
    return took


def draw(took: dict[int, Times], file: Path) -> None:
    """A plot of the medians, with the fastest and the slowest as bars."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name in ("new", "changed"):
        each = [getattr(times, name) for times in took.values()]
        middle = [median(times) for times in each]
        up, down = ([abs(end(times) - at) for times, at in zip(each, middle, strict=True)] for end in (max, min))
        bars = {"type": "data", "array": up, "arrayminus": down}
        figure.add_scatter(x=list(took), y=middle, error_y=bars, mode="lines+markers", name=f"{NEW_IMAGES} {name} images")
    figure.update_xaxes(type="log", title="rows of the table")
    figure.update_yaxes(rangemode="tozero", title="seconds from announcement to row")
    figure.write_html(file, include_plotlyjs=True)
    print(f"the plot: {file}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a batch of 100 images costs, by the rows that are there already.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="rows (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measured at each size (default: %(default)s)")
    parser.add_argument("--html", type=Path, help="a file for the plot")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder:
        settings = IngestSettings(images=f"{folder}/pictures", root=f"{folder}/root", source="events", trigger_seconds=0)
        took = measure(settings, given.sizes, given.rounds)
    if given.html:
        draw(took, given.html)


if __name__ == "__main__":
    main()
