"""What reading the features table costs after many small batches, against the same rows in one large batch.

    python benchmarks/small_files.py [--commits 500] [--rounds 7]

Each small batch is a commit of one row, as the stream makes it when images trickle in, with the root_upkeep that the stream
does between batches at its default settings. Read is every column of every row, by Spark, in a warm session, with nothing kept
of what Delta knows of the table: median of the rounds, with the fastest and the slowest.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from fruitpipe.extractor.mobilenet import FEATURES
from fruitpipe.ingest.root_upkeep import RootUpkeep
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta, schema
from tests.rows import append_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def append(spark: SparkSession, root: str, count: int, first: int) -> None:
    """One commit of `count` rows of random features."""
    delta.create(spark, root)
    vectors = np.random.default_rng(first).random((count, FEATURES), np.float32)
    columns: dict[str, Any] = {
        "path": [f"file:///images/Kiwi/{number:07}.jpg" for number in range(first, first + count)],
        "label": ["Kiwi"] * count,
        "features": pa.array(list(vectors), pa.list_(pa.float32())),
        "extractor": ["benchmark"] * count,
        "ingested_at": [datetime.now(UTC)] * count,
    }
    absent = [F.lit(None).cast(field.dataType).alias(field.name) for field in schema.FEATURES if field.name not in columns]
    append_rows(root, spark.createDataFrame(pa.table(columns)).coalesce(1).select("*", *absent))


def fill(spark: SparkSession, root: str, commits: int, *, root_upkeep: bool) -> float:
    """A commit a row; returns the seconds that root_upkeep took of that."""
    settings = IngestSettings(images=root, root=root)
    keeper = RootUpkeep(spark, settings if root_upkeep else settings.model_copy(update={"compact_commits": 0}), lambda: None)
    took = 0.0
    for number in range(commits):
        append(spark, root, 1, number)
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            keeper.step(number + 1)
        took += time.perf_counter() - began
    return took


def read(spark: SparkSession, root: str) -> float:
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr] # noqa: SLF001 - as a new reader
    began = time.perf_counter()
    delta.rows(spark, root).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Reads a table of many small batches, and the same rows of one.")
    parser.add_argument("--commits", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--with-worst", action="store_true", help="measure the table without root_upkeep, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder:
        spark = session.open("fruitpipe benchmark: small files", folder)
        spark.sparkContext.setLogLevel("ERROR")
        one, small, worst = (str(Path(folder, name)) for name in ("one", "small", "worst"))
        append(spark, one, given.commits, 0)
        took = fill(spark, small, given.commits, root_upkeep=True)
        roots = {"one batch": one, f"{given.commits} batches": small}
        if given.with_worst:
            fill(spark, worst, given.commits, root_upkeep=False)
            roots[f"{given.commits} batches, no root_upkeep"] = worst
        rounds = {name: [] for name in roots}  # type: dict[str, list[float]]
        for _ in range(given.rounds + 2):  # the first two warm up
            for name, root in roots.items():
                rounds[name].append(read(spark, root))
        base = median(rounds["one batch"][2:])
        for name, root in roots.items():
            seconds, files = rounds[name][2:], len(delta.rows(spark, root).inputFiles())
            print(
                f"{name}: {files} files, {1e3 * median(seconds):.0f} ms ({1e3 * min(seconds):.0f} to {1e3 * max(seconds):.0f}), "
                f"{median(seconds) / base:.2f} times",
                flush=True,
            )
        print(f"root_upkeep took {took:.1f} s in all, {1e3 * took / given.commits:.0f} ms a batch")
        spark.stop()


if __name__ == "__main__":
    main()
