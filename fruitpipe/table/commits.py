"""Commits that change rows of the features table by what the rows say: merges and removals, by Spark.

`file_commits` holds those that name data files alone. Each call needs the lease, by its fence; it raises and commits nothing
where it fails. `delta` makes and reads the table.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from fruitpipe import objects
from fruitpipe.outcome import Outcome
from fruitpipe.runtime.session import SPARK_ERRORS
from fruitpipe.table import delta, lookup
from fruitpipe.table.columns import COLUMNS
from fruitpipe.table.fence import APPLICATION, Fence
from fruitpipe.table.schema import FEATURES, OUTCOMES

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
CONCURRENT = "DELTA_CONCURRENT_"  # how each error begins that Delta refuses a commit with for another's
TXN_APPLICATION, TXN_VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
SPANS = 4  # of time that a merge looks into; each takes Spark time to compile


def remove(spark: SparkSession, root: str, paths: Sequence[str], fence: Fence | None = None) -> int:
    """Deletes the rows of `paths`, in a commit that names none of them, and says how many images had one.

    fence: as for `file_commits.add`.
    """
    there = lookup.of_paths(root, paths)
    if not there:
        return 0
    gone = spark.createDataFrame(pa.table({"path": pa.array(sorted(there), pa.string())}))
    absent = {column.name: F.lit(None).cast(column.dataType) for column in FEATURES if column.name != "path"}
    with fenced(spark, fence):
        merge(spark, root, gone.withColumns({**absent, "outcome": F.lit(Outcome.GONE.value)}))
    return len(there)


def remove_others(spark: SparkSession, root: str, kept: Mapping[str, datetime], fence: Fence | None = None) -> None:
    """Deletes the rows of images that were ingested at another time than the one told for each, by path.

    fence: as for `file_commits.add`.
    """
    names, times = pa.array(list(kept), pa.string()), pa.array(list(kept.values()), pa.timestamp("us", tz="UTC"))
    source = spark.createDataFrame(pa.table({"path": names, "kept": times}))
    others = delta.table(spark, root).alias("t").merge(source.alias("s"), "t.path = s.path AND t.ingested_at <> s.kept")
    with fenced(spark, fence):
        delta.execute(others.whenMatchedDelete(), root)


@contextmanager
def _refused(fence: Fence | None) -> Iterator[None]:
    """Delta's refusal of a commit, as rows were committed meanwhile, becomes the fence's."""
    try:
        yield
    except SPARK_ERRORS as error:
        if fence is None or CONCURRENT not in str(error):
            raise
        raise fence.lost() from error


def outcomes(spark: SparkSession, uris: Sequence[str]) -> DataFrame:
    """The outcomes, with the schema OUTCOMES, in Parquet files."""
    return spark.read.schema(OUTCOMES).parquet(*map(objects.for_spark, uris))


def merge(
    spark: SparkSession,
    root: str,
    outcomes: DataFrame,
    ingested: Collection[datetime] = (),
    counts: Mapping[str, int] | None = None,
) -> None:
    """Brings the table to what `outcomes` (FEATURES and `outcome`) say: one commit, one row per image.

    ingested: `ingested_at` of all rows that the table has of those images, one of each. A merge by path alone, as where no times
    are told, opens all files, for 2 ms each, as each file of a large table holds paths of all labels; what was ingested at some
    time lies in few. counts: images by outcome, for the commit's entry in the log, as its files hold rows of others, too.
    Raises LeaseLost for one that is not the next, in a block of `fenced`.
    """
    matches = F.expr("t.path = s.path") & _ingested_at("t.ingested_at", ingested)
    row: dict[str, str | Column] = {column: f"s.{column}" for column in COLUMNS}
    touched: dict[str, str | Column] = {column: f"s.{column}" for column in ("modification_time", "length", "etag")}
    merging = (
        delta.table(spark, root)
        .alias("t")
        .merge(outcomes.alias("s"), matches)
        .whenMatchedDelete(f"s.outcome = '{Outcome.GONE}'")
        .whenMatchedUpdate(f"s.outcome = '{Outcome.TOUCHED}'", set=touched)
        .whenMatchedUpdate(f"s.outcome = '{Outcome.STALE}'", set={"error_message": "concat(s.error, ': ', s.error_message)"})
        .whenMatchedUpdate(set=row)
        .whenNotMatchedInsert(f"s.outcome NOT IN ('{Outcome.GONE}', '{Outcome.TOUCHED}', '{Outcome.STALE}')", values=row)
    )
    with _settings(spark, {USER_METADATA: json.dumps(dict(counts or {}))}):
        delta.execute(merging, root)


@contextmanager
def fenced(spark: SparkSession, fence: Fence | None) -> Iterator[None]:
    """The merge in this block is the next commit that changes rows. Raises LeaseLost where somebody else was there first."""
    if fence is None:
        yield
        return
    with _settings(spark, {TXN_APPLICATION: APPLICATION, TXN_VERSION: str(fence.number)}), _refused(fence):
        yield
    fence.merged()


@contextmanager
def _settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """The session has these settings in the block."""
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in values:
            spark.conf.unset(name)


def with_features_of_moved(spark: SparkSession, root: str, outcomes: DataFrame, ingested: Collection[datetime]) -> DataFrame:
    """`outcomes`, where what moved has width, height and features of the good row that the table has of the same bytes.

    ingested: as for `merge`; that row is among those. Reads features of these rows alone.
    """
    copied = ("width", "height", "features")
    bytes_ = ["sha256", "extractor"]
    moved = outcomes.where(F.col("outcome") == Outcome.MOVED.value).select(*bytes_).distinct()
    good = delta.rows(spark, root).where(F.col("error").isNull() & _ingested_at("ingested_at", ingested)).select(*bytes_, *copied)
    found = good.join(F.broadcast(moved), bytes_, how="inner").dropDuplicates(bytes_)
    found = found.select(*bytes_, F.lit(Outcome.MOVED.value).alias("outcome"), F.struct(*copied).alias("copy"))
    missing = F.raise_error(F.lit("an image moved whose features the table does not have"))
    taken = {
        column: F.when(F.col("outcome") == Outcome.MOVED.value, F.coalesce(f"copy.{column}", missing)).otherwise(F.col(column))
        for column in copied
    }
    return outcomes.join(found, [*bytes_, "outcome"], how="left").withColumns(taken).select(*outcomes.columns)


def _ingested_at(column: str, times: Collection[datetime]) -> Column:
    """Whether `column` is about one of `times`; any where none are told."""
    near = (F.col(column).between(*map(F.lit, span)) for span in spans(times)) if times else (F.lit(True),)
    return reduce(or_, near)


def spans(times: Collection[datetime]) -> list[tuple[datetime, datetime]]:
    """First and last moments of what covers `times`: up to SPANS spans, parted by the longest gaps of over a minute."""
    moments = sorted(times)
    gaps = [at for at in range(1, len(moments)) if moments[at] - moments[at - 1] > timedelta(minutes=1)]
    longest = sorted(gaps, key=lambda at: moments[at] - moments[at - 1])[1 - SPANS :]
    return [(moments[first], moments[end - 1]) for first, end in itertools.pairwise([0, *sorted(longest), len(moments)])]
