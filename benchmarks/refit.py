"""What the refit costs: against Spark ML, by rows that are new, and by all rows. Prints a table.

    python benchmarks/refit.py                                                                  a laptop: some minutes
    python benchmarks/refit.py --rows 20000 --new-rows 1000 --grown-rows 200000                 the figures of the README

1. **Spark ML.** Its StandardScaler and PCA on the same rows in the same warm session, as a notebook has it: fit the scaler, fit
   the PCA with all components, read k from the cumulative variance, fit the PCA again with k, transform, write Parquet. Ours is
   the whole job with all rows read: pin, sum up, fit, project, write, read back and check, save the model, switch, sweep. The
   report, which Spark ML has none of, is left out of all that is compared, and its cost stands beside.
2. **New rows.** The next refit by the change feed, the same with --full, and --unless-current.
3. **Growth.** The time for more rows in the warm session, and for new ones beside them; the driver's peak memory in a process of
   its own, with report, its JVM included.

Times are medians of three rounds, with the fastest and the slowest. How the rows are made: benchmarks/features.py.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.feature import PCA, StandardScaler
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from benchmarks import features, process  # noqa: E402
from fruitpipe.extractor.mobilenet import FEATURES  # noqa: E402
from fruitpipe.jobs.refit import refit  # noqa: E402
from fruitpipe.refit import publication, version_model  # noqa: E402, version_model
from fruitpipe.runtime import session  # noqa: E402
from fruitpipe.settings import RefitSettings  # noqa: E402
from fruitpipe.table import delta  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

VARIANCE = 0.95
ROUNDS = 3
WARM_UPS, WARM_ROWS = 3, 1_500  # until Java's compiler has seen both ways; rows enough for all 1280 components
SCRIPT, FILL = str(CHECKOUT / "batch" / "refit.py"), str(CHECKOUT / "benchmarks" / "features.py")


def seconds(work: Callable[[], object]) -> float:
    """The time that `work` takes; what it prints is kept back."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.perf_counter() - began


def ours(root: str, variance: float = VARIANCE, *, report: bool = False, **flags: bool) -> float:
    return seconds(lambda: refit(RefitSettings(root=root, variance=variance, report=report, **flags)))  # type: ignore[arg-type]


def spark_ml(spark: SparkSession, root: str, to: str) -> int:
    """The notebook's way; returns k."""
    raw = delta.rows(spark, root).select("path", "label", array_to_vector(F.col("features")).alias("raw"))
    scaler = StandardScaler(inputCol="raw", outputCol="scaled", withMean=True, withStd=True)
    scaled = scaler.fit(raw).transform(raw)
    shares = PCA(k=FEATURES, inputCol="scaled", outputCol="reduced").fit(scaled).explainedVariance
    k = int(np.searchsorted(np.cumsum(shares), VARIANCE)) + 1
    reduced = PCA(k=k, inputCol="scaled", outputCol="reduced").fit(scaled).transform(scaled)
    reduced.select("path", "label", vector_to_array(F.col("reduced"), "float32").alias("pca_features")).write.parquet(to)
    return k


def facts(root: str) -> dict[str, object]:
    return version_model.load_model(root, publication.current(root)).facts


def own_basis(said: dict[str, object]) -> bool:
    return said["basis"] == said["version"]


def spread(times: list[float]) -> str:
    return f"{median(times):.1f} s ({min(times):.1f} to {max(times):.1f})"


def compare_with_spark_ml(spark: SparkSession, folder: Path, rows: int) -> str:
    """Line 1; leaves the root with ROUNDS versions."""
    warm, root = str(folder / "warm"), str(folder / "root")
    for number in range(WARM_UPS):
        ours(warm, full=True)
        spark_ml(spark, warm, str(folder / f"warm-{number}"))
    theirs, mine, found = [], [], 0
    for number in range(ROUNDS):  # in turn, so that a busy moment of the machine meets both
        began = time.perf_counter()
        found = spark_ml(spark, root, str(folder / f"ml-{number}"))
        theirs.append(time.perf_counter() - began)
        mine.append(ours(root, full=True))
    with_report = ours(root, full=True, report=True) - median(mine)
    return (
        f"{rows:,} rows  Spark ML {spread(theirs)} (k = {found})  ours {spread(mine)} (k = {facts(root)['k']})  "
        f"{median(theirs) / median(mine):.1f} x faster; the report takes {with_report:.1f} s more"
    )


def compare_with_full(root: str, rows: int, new_rows: int) -> list[str]:
    """Lines 2: three ways to take in the same number of new rows, ROUNDS times; new rows each time."""
    # New rows always cost a little of the share that is kept; whoever keeps components asks for a little less of it.
    keeping = {"unless_current": True, "variance": VARIANCE - 0.01}
    ways: dict[str, dict[str, Any]] = {"incremental": {}, "--full": {"full": True}, "--unless-current": keeping}
    took: dict[str, list[float]] = {name: [] for name in ways}
    read = {}
    for _ in range(ROUNDS):
        for name, flags in ways.items():
            process.cost(FILL, root, str(new_rows), "--first", str(rows))
            rows += new_rows
            took[name].append(ours(root, **flags))
            said = facts(root)
            read[name] = f"{said['rows_read']:>7,} of {said['rows']:,} rows read" + ("" if own_basis(said) else ", no refit")
    return [f"{name:<16} {spread(took[name])}  {read[name]}" for name in ways]


def growth(folder: Path, sizes: tuple[int, int], new_rows: int) -> list[str]:
    """Lines 3: a refit of all rows of two tables, and one that takes in new rows."""
    lines = []
    for rows in sizes:
        root = str(folder / f"grown-{rows}")
        process.cost(FILL, root, str(rows))
        took = median(ours(root, full=True) for _ in range(ROUNDS))
        process.cost(FILL, root, str(new_rows), "--first", str(rows))
        new = ours(root)
        assert facts(root)["rows_read"] == new_rows, "an incremental refit read more than the new rows"
        alone = process.cost(SCRIPT, "--root", root, "--full")
        shutil.rmtree(root)
        lines.append(
            f"{rows:>7,} rows  --full {took:.1f} s, {1e3 * took / rows:.2f} ms a row  with {new_rows:,} new {new:.1f} s  "
            f"driver's peak: Python {alone.python_mb:.0f} MB, JVM {alone.jvm_mb:.0f} MB"
        )
    return lines


def run(folder: Path, rows: int, new_rows: int, grown_rows: int, *, growth_alone: bool) -> None:
    print(f"rows made of {features.base().source}; load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
    for name, count in (("warm", WARM_ROWS), ("root", rows)):
        process.cost(FILL, str(folder / name), str(count))
    spark = session.open("fruitpipe benchmark: refit", str(folder), java=())  # both compilers, as Spark ML computes in Java
    if growth_alone:
        ours(str(folder / "warm"), full=True)
    else:
        print("1.", compare_with_spark_ml(spark, folder, rows), flush=True)
        print("2.", *compare_with_full(str(folder / "root"), rows, new_rows), sep="\n   ", flush=True)
    if grown_rows:
        print("3.", *growth(folder, (rows, grown_rows), new_rows), sep="\n   ", flush=True)
    spark.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="What the refit costs. The full figures: 20000, 1000 and 200000 rows.")
    parser.add_argument("--rows", type=int, default=4_000, help="rows of the comparisons (default: %(default)s)")
    parser.add_argument("--new-rows", type=int, default=200, help="rows that come after the first refit (default: %(default)s)")
    parser.add_argument("--grown-rows", type=int, default=16_000, help="rows of the larger table (default: %(default)s; 0: none)")
    parser.add_argument("--growth-alone", action="store_true", help="the third part without the others")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder:
        run(Path(folder), given.rows, given.new_rows, given.grown_rows, growth_alone=given.growth_alone)


if __name__ == "__main__":
    main()
