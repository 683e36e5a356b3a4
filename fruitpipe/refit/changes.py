"""The summary of all good rows of the features table: read from all of them, or from what changed since the last refit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from fruitpipe.errors import DuplicateRows, InvalidResult, NotEnoughRows, NotFound
from fruitpipe.pictures import variants
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import fitted_rows
from fruitpipe.refit.fitted_rows import FittedRows
from fruitpipe.refit.on_spark import Source, of_files, of_rows, summarise
from fruitpipe.runtime import session
from fruitpipe.table import delta
from fruitpipe.table.vector_files import LARGEST_BYTES, File

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from fruitpipe.refit.version_model import Model

# Taking rows out reads them and cancels digits. Beyond a tenth of the rows it saves nothing worth having ...
MOST_REMOVED = 0.1
# ... and beyond this factor of rounding error since the last full reading, 1e-14 would have grown past the 1e-12 that an
# incremental and a full refit may differ by.
MOST_CANCELLATION = 100.0
# As Spark and Delta word it when files that the feed names are no longer there, or were taken out as damaged.
FILES_GONE = ("FILE_NOT_EXIST", "FileNotFound", "does not exist", "FAILED_READ_FILE")
EXAMPLES = 3
ADDING, REMOVING = ("insert", "update_postimage"), ("delete", "update_preimage")


@dataclass(frozen=True)
class Pinned:
    """The state of the features table that a refit works on, whatever is committed meanwhile.

    fitted: which rows are. rows: how many those are. files: those that hold them. plain: whether all that a file holds is in the
    table. left_out: rows with features of earlier extractors, which stay as the store does not give their images.
    """

    root: str
    table: str
    version: int
    fitted: FittedRows
    rows: int
    files: tuple[File, ...]
    plain: bool
    left_out: int = 0

    @property
    def fingerprint(self) -> str:
        """The fingerprint that all fitted rows have in common, whatever their variants."""
        return self.fitted.fingerprint

    def source(self, spark: SparkSession) -> Source:
        """All features: straight from the files, where those hold what the table does and are not too large for that."""
        are_small = max(file.length for file in self.files) <= LARGEST_BYTES
        if self.plain and are_small and self.fitted.are_told_by_extractor:
            return of_files(spark, self.files, "features", self.fitted.extractors if self.left_out else ())
        return of_rows(delta.rows_at(spark, self.root, self.version).where(self.fitted.condition), "features")


@dataclass(frozen=True)
class Gathered:
    """The summary of all good rows, and what had to be read for it.

    cancellation: the factor by which rounding grew since all rows were last read. only_added: whether all that happened since the
    previous version is that rows were added, and `added` holds those, if there are any. how: one line for the user.
    """

    summary: Summary
    cancellation: float
    rows_read: int
    how: str
    only_added: bool = False
    added: Source | None = None


class _ReadAllError(Exception):
    """All rows have to be read, as the message says why."""


def pin(spark: SparkSession, root: str) -> Pinned:
    """The newest state of the table at `root`. Reads some small columns.

    Raises NotFound where there is no table, NotEnoughRows for fewer than two good rows, MixedExtractors, DuplicateRows.
    """
    table = delta.describe(root)
    good = delta.rows_at(spark, root, table.version).where("error IS NULL")
    large, stays = F.expr(variants.LARGE_SQL).alias("large"), F.col("error_message").isNotNull().alias("stays")
    counts = good.groupBy("extractor", large, stays, "_metadata.file_name", "_metadata.file_size").count().collect()
    fitted = fitted_rows.of(root, ((row["extractor"], row["large"], row["stays"], row["count"]) for row in counts))
    taken = [row for row in counts if (row["extractor"], row["large"]) in fitted.taken]
    rows, all_rows = (sum(row["count"] for row in some) for some in (taken, counts))
    if rows < 2:  # noqa: PLR2004 - a variance takes two
        raise NotEnoughRows(f"{root}: {rows} good rows; a reduction needs at least 2: ingest more images")
    _check_single(good.where(fitted.condition), root, rows)
    sizes = {row["file_name"]: row["file_size"] for row in taken}
    files = tuple(File(delta.file_uri(root, name), size) for name, size in sizes.items())
    return Pinned(root, table.id, table.version, fitted, rows, files, table.plain, all_rows - rows)


def _check_single(good: DataFrame, root: str, rows: int) -> None:
    """Raises DuplicateRows where an image has more than one row. One pass over hashes of the paths, of 8 bytes each."""
    if good.agg(F.count_distinct(F.xxhash64("path"))).collect()[0][0] == rows:
        return
    twice = [row["path"] for row in good.groupBy("path").count().where("count > 1").orderBy("path").limit(EXAMPLES).collect()]
    if twice:
        raise DuplicateRows(
            f"{root}: images with more than one row ({', '.join(twice)}, ...) would count more than once; "
            f"run fruitpipe reconcile --images URI --root {root} and let the stream repair them"
        )


def gather(spark: SparkSession, pinned: Pinned, previous: Model | None, *, full: bool = False) -> Gathered:
    """The summary of all good rows: `previous` with what changed since, where that is exact, else a reading of all rows.

    Costs 40 µs on one core for each row that is read.
    """
    try:
        return _from_changes(spark, pinned, _usable(pinned, previous, full=full))
    except (_ReadAllError, NotFound) as error:
        reason = str(error)
    except session.SPARK_ERRORS as error:
        if not any(sign in str(error) for sign in FILES_GONE):
            raise
        reason = "the change feed's files cannot be read; a vacuum may have removed them"
    summary = summarise(pinned.source(spark))
    if summary.count != pinned.rows:
        raise InvalidResult(f"{pinned.root}: {pinned.rows} rows expected in its features, {summary.count} read; run it again")
    how = f"features version {pinned.version}: all {summary.count} rows read ({reason})"
    return Gathered(summary, 1.0, summary.count, how)


def _usable(pinned: Pinned, previous: Model | None, *, full: bool) -> Model:
    """`previous`, if its summary is one of earlier rows of the pinned table."""
    if full:
        raise _ReadAllError("--full was given")
    if previous is None:
        raise _ReadAllError("there is no earlier version")
    facts = previous.facts
    if facts["extractor"] != pinned.fingerprint:
        raise _ReadAllError(f"the extractor changed from {facts['extractor']} to {pinned.fingerprint}")
    if _are_others(facts.get("preprocessing"), pinned.fitted.variants):
        raise _ReadAllError(f"{facts['version']} was fitted on pictures of which a class has another variant now")
    if facts["features_table"] != pinned.table or facts["features_version"] > pinned.version:
        raise _ReadAllError(f"{facts['version']} was fitted on a table that was here before")
    return previous


def _are_others(before: Mapping[str, str] | None, now: Mapping[str, str]) -> bool:
    """Whether rows that were left out may be fitted now, or the other way round, though they did not change; see `fitted_rows`.

    before: None of a version that did not say.
    """
    return bool(now) if before is None else any(before.get(name, variant) != variant for name, variant in now.items())


def _from_changes(spark: SparkSession, pinned: Pinned, previous: Model) -> Gathered:
    summary, cancellation = previous.summary, float(previous.facts["cancellation"])
    added, removed, new_rows = _changed(spark, pinned, previous)
    merged = summary.merge(added)
    left = merged.subtract(removed)
    if removed.count:
        cancellation *= merged.moments.cancellation(left.moments)
    _check_exact(left, cancellation, pinned)
    how = (
        f"features version {pinned.version}: {added.count} rows added and {removed.count} taken out "
        f"since {previous.facts['version']}, {summary.count} not read again"
    )
    return Gathered(
        left,
        cancellation,
        added.count + removed.count,
        how,
        only_added=not removed.count,
        added=new_rows if added.count else None,
    )


def _changed(spark: SparkSession, pinned: Pinned, previous: Model) -> tuple[Summary, Summary, Source | None]:
    """The summaries of the rows that came and that went since `previous`, and the rows that came, if there was any commit."""
    since, dimensions = int(previous.facts["features_version"]), previous.summary.moments.dimensions
    none = Summary.zero(dimensions)
    if since >= pinned.version:
        return none, none, None
    changes = delta.changes(spark, pinned.root, since, pinned.version).where("error IS NULL")
    changes = changes.where(pinned.fitted.condition)
    counts = _counts(changes)
    if _count(counts, REMOVING):
        changes = _net(changes)
        counts = _counts(changes)
    _check_removed(_count(counts, REMOVING), previous.summary.count)
    removed = summarise(_of_type(changes, REMOVING, counts), dimensions) if _count(counts, REMOVING) else none
    new_rows = _of_type(changes, ADDING, counts)
    return summarise(new_rows, dimensions), removed, new_rows


def _counts(changes: DataFrame) -> dict[str, int]:
    return {row["_change_type"]: row["count"] for row in changes.groupBy("_change_type").count().collect()}


def _net(changes: DataFrame) -> DataFrame:
    """What changed from the first version to the last: a row that came with the label and features that went did not change.

    So it is with an image that was written again with the same bytes, so that only its time and etag differ.
    """
    vectors = F.xxhash64("features").alias("vector")
    sign = F.when(F.col("_change_type").isin(*ADDING), 1).otherwise(-1)
    groups = changes.groupBy("path", "label", vectors).agg(F.sum(sign).alias("net"), F.first("features").alias("features"))
    kind = F.when(F.col("net") > 0, ADDING[0]).otherwise(REMOVING[0]).alias("_change_type")
    return groups.where("net != 0").select("path", "label", "features", kind)


def _check_removed(removed: int, rows_before: int) -> None:
    if removed > rows_before * MOST_REMOVED:
        raise _ReadAllError(f"{removed} of {rows_before} rows were changed or removed, more than {MOST_REMOVED:.0%}")


def _check_exact(left: Summary, cancellation: float, pinned: Pinned) -> None:
    if left.count != pinned.rows:
        raise _ReadAllError(f"the changes add up to {left.count} rows and not to {pinned.rows}")
    if cancellation > MOST_CANCELLATION:
        raise _ReadAllError(
            f"taking rows out would have magnified rounding {cancellation:.3g} times, more than {MOST_CANCELLATION:g}"
        )


def _of_type(changes: DataFrame, types: tuple[str, ...], counts: dict[str, int]) -> Source:
    return of_rows(changes.where(F.col("_change_type").isin(*types)), "features", count=_count(counts, types))


def _count(counts: dict[str, int], types: tuple[str, ...]) -> int:
    return sum(counts.get(kind, 0) for kind in types)
