"""The features table through Delta's public API: made, read, merged into. The only importer of delta.

The stream's driver is its only writer: Delta on S3 is safe with one writing driver and no more.

| call | needs the lease | what a failure does |
|---|---|---|
| `create`, `add`, `merge`, `remove`, `drop_files` | yes, they commit | raises, and nothing is committed |
| `describe`, `exists`, `version`, `rows`, `rows_at`, `changes`, `outcomes`, `is_ours` | no | raises |

`delta_java` holds the calls into Delta's private classes, `upkeep` what packs and clears away.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import NamedTuple

import pyarrow as pa
from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, NotFound, PlatformFault, WrongRoot
from fruitpipe.runtime.session import SPARK_ERRORS
from fruitpipe.table import delta_java, first_commit, log_files, lookup, requirements
from fruitpipe.table.fence import APPLICATION, Fence
from fruitpipe.table.schema import ADDED_SINCE, COLUMNS, FEATURES, GONE, MOVED, OUTCOMES, PROPERTIES, TOUCHED
from fruitpipe.table.snapshot import DataFile, Snapshot

# What makes a file say something else than the table: somebody else's doing, as `create` asks for neither.
HIDING = {"deletionVectors", "columnMapping"}
USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
CONCURRENT = "DELTA_CONCURRENT_"  # how each error begins that Delta refuses a commit with for another's
TXN_APPLICATION, TXN_VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
SPANS = 4  # of time that a merge looks into; each takes Spark time to compile


class Table(NamedTuple):
    """Delta's own id, which a table that was deleted and made anew has not, and whether its files are to be read as they are."""

    id: str
    plain: bool


# Delta's words for a folder without a log, and for a log without a commit: a table is being made, or whoever made it was killed.
NO_TABLE, UNBORN = "DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND"


def folder(root: str) -> str:
    """Where the features table lies, as workers and the object store have it."""
    return objects.join(root, "features")


def features_uri(root: str) -> str:
    """Where it lies, as Spark has it."""
    return objects.for_spark(folder(root))


def file_uri(root: str, name: str) -> str:
    """Where one of the table's files lies. It has no partitions, so they lie side by side."""
    return objects.join(folder(root), name)


def in_sql(root: str) -> str:
    """The table's name in Spark's SQL."""
    return "delta.`{}`".format(features_uri(root).replace("`", "``"))


def table(spark: SparkSession, root: str) -> DeltaTable:
    """The table, to be changed or asked. Raises AnalysisException where there is none."""
    return DeltaTable.forPath(spark, features_uri(root))


def describe(spark: SparkSession, root: str) -> Table:
    """What the table says of itself."""
    detail = table(spark, root).detail().first()
    assert detail is not None
    plain = not detail["partitionColumns"] and HIDING.isdisjoint(detail["tableFeatures"] or ())
    return Table(detail["id"], plain)


def exists(spark: SparkSession, root: str) -> bool:
    """Whether there is a features table. Raises WrongRoot for a folder that is none of ours, Damaged for a torn log."""
    try:
        table(spark, root)
    except AnalysisException as error:
        if error.getCondition() == UNBORN:
            return False
        if error.getCondition() != NO_TABLE:
            log_files.check(folder(root))
            raise
    except Py4JJavaError:
        log_files.check(folder(root))
        raise
    else:
        return True
    if objects.children(folder(root)):
        raise WrongRoot(f"{root}/features holds files that are no Delta table; give a --root of fruitpipe's own")
    return False


def is_ours(root: str) -> bool:
    """Whether there is a table as `create` leaves it, as seen without Spark, which is to judge what cannot be read so."""
    try:
        table = Snapshot(root)
        requirements.check(table)
    except (NotFound, PlatformFault, WrongRoot):
        return False
    return not _lacking(table)


def create(spark: SparkSession, root: str, before_commit: Callable[[], None] = lambda: None) -> None:
    """Makes an empty features table, unless there is one; `before_commit` raises where this process may write none.

    Raises WrongRoot for a table with other columns, or what is left of a table, MissingRequirement for a Delta that would not
    take the stream's commits.
    """
    if objects.children(folder(root)) and exists(spark, root):
        if lacking := _lacking(_checked(root)):
            before_commit()
            spark.sql(f"ALTER TABLE {in_sql(root)} SET TBLPROPERTIES ({lacking})")
    else:
        _check_no_remains(root)
        before_commit()
        objects.delete_all(log_files.folder(folder(root)))  # what is left of one that was begun; Delta would make no table there
        first_commit.write(folder(root), FEATURES.json(), PROPERTIES, datetime.now(UTC))
    delta_java.check(spark, features_uri(root))


def version(spark: SparkSession, root: str) -> int:
    """The table's newest version. Raises NotFound where there is no table yet."""
    if not exists(spark, root):
        raise NotFound(f"{root}: there are no features yet; run fruitpipe ingest --images URI --root {root} first")
    _checked(root)
    return int(table(spark, root).history(1).first()["version"])  # type: ignore[index]


def rows(spark: SparkSession, root: str) -> DataFrame:
    """The table as it is now, all columns of FEATURES."""
    return spark.read.format("delta").load(features_uri(root))


def rows_at(spark: SparkSession, root: str, at_version: int) -> DataFrame:
    """The table as it was at a version, whatever has been committed since."""
    return spark.read.format("delta").option("versionAsOf", at_version).load(features_uri(root))


def changes(spark: SparkSession, root: str, after_version: int, to_version: int) -> DataFrame:
    """What was committed after one version and up to another: FEATURES and `_change_type`, `_commit_version`.

    Raises NotFound where the change feed no longer reaches back so far.
    """
    reader = spark.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", after_version + 1).option("endingVersion", to_version)
    try:
        return reader.load(features_uri(root))
    except AnalysisException as error:
        raise NotFound(f"{root}: changes after version {after_version} are no longer kept; read the whole table") from error


def remove(spark: SparkSession, root: str, paths: Sequence[str], fence: Fence | None = None) -> int:
    """Deletes the rows of `paths`, in a commit that names none of them, and says how many images had one.

    fence: as for `add`.
    """
    there = lookup.of_paths(root, paths)
    if not there:
        return 0
    gone = spark.createDataFrame(pa.table({"path": pa.array(sorted(there), pa.string())}))
    absent = {column.name: F.lit(None).cast(column.dataType) for column in FEATURES if column.name != "path"}
    with fenced(spark, fence):
        merge(spark, root, gone.withColumns({**absent, "outcome": F.lit(GONE)}))
    return len(there)


def add(
    spark: SparkSession,
    root: str,
    files: Collection[str],
    fence: Fence | None = None,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Adds rows of images that the table does not have: those of data files that lie in its folder, by their `add` actions.

    Nothing is committed where there are no files. With a fence, raises LeaseLost and commits nothing where somebody else has
    changed rows since this process last did. counts: images by outcome, for the commit's entry in the log.
    """
    with _refused(fence):
        note = json.dumps(dict(counts or {}))
        version = delta_java.append(spark, features_uri(root), files, partial(_numbered, fence), note)
    if fence and version is not None:
        fence.added(version)


def _numbered(fence: Fence | None, version: int) -> list[str]:
    """What a commit that builds on a version says of its number."""
    if fence is None:
        return []
    milliseconds = round(1000 * datetime.now(UTC).timestamp())
    return [json.dumps({"txn": {"appId": APPLICATION, "version": fence.number_after(version), "lastUpdated": milliseconds}})]


@contextmanager
def _refused(fence: Fence | None) -> Iterator[None]:
    """Delta's refusal of a commit, as rows were committed meanwhile, becomes the fence's."""
    try:
        yield
    except SPARK_ERRORS as error:
        if fence is None or CONCURRENT not in str(error):
            raise
        raise fence.lost() from error


def drop_files(spark: SparkSession, root: str, files: Collection[DataFile], fence: Fence | None = None) -> None:
    """Takes data files out of the table, and with them their rows, whether they can still be read or not. fence: as for `add`."""
    now = round(1000 * datetime.now(UTC).timestamp())
    common = {"deletionTimestamp": now, "dataChange": True, "extendedFileMetadata": True, "partitionValues": {}}
    removes = [json.dumps({"remove": {"path": file.path, "size": file.size_bytes, **common}}) for file in files]
    with _refused(fence):
        version = delta_java.remove(spark, features_uri(root), removes, partial(_numbered, fence))
    if fence and version is not None:
        fence.added(version)


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
        table(spark, root)
        .alias("t")
        .merge(outcomes.alias("s"), matches)
        .whenMatchedDelete(f"s.outcome = '{GONE}'")
        .whenMatchedUpdate(f"s.outcome = '{TOUCHED}'", set=touched)
        .whenMatchedUpdate(set=row)
        .whenNotMatchedInsert(f"s.outcome NOT IN ('{GONE}', '{TOUCHED}')", values=row)
    )
    with _settings(spark, {USER_METADATA: json.dumps(dict(counts or {}))}):
        done = merging.execute().collect()
    if not done:  # its number has been used, so Delta takes it for one that was done before
        raise LeaseLost(
            f"{root}/features: somebody else wrote it since this stream last did; nothing was written. Start it again"
        )


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
    moved = outcomes.where(F.col("outcome") == MOVED).select(*bytes_).distinct()
    good = rows(spark, root).where(F.col("error").isNull() & _ingested_at("ingested_at", ingested)).select(*bytes_, *copied)
    found = good.join(F.broadcast(moved), bytes_, how="inner").dropDuplicates(bytes_)
    found = found.select(*bytes_, F.lit(MOVED).alias("outcome"), F.struct(*copied).alias("copy"))
    missing = F.raise_error(F.lit("an image moved whose features the table does not have"))
    taken = {
        column: F.when(F.col("outcome") == MOVED, F.coalesce(f"copy.{column}", missing)).otherwise(F.col(column))
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


def _check_no_remains(root: str) -> None:
    """Raises WrongRoot where data files or parts of a log lie there, though they make no table: a new one would hide them."""
    data = [name for name in objects.children(folder(root)) if name != "_delta_log/"]
    if data or log_files.has_state(folder(root)):
        held = f"{len(data)} files or folders beside the log, {data[0]} among them," if data else "a log"
        raise WrongRoot(
            f"{folder(root)} holds {held} and no first commit to read them by, as after half a restore; restore its _delta_log "
            "too, or move the folder away and start again: all images are then featurised anew"
        )


def _checked(root: str) -> Snapshot:
    """The table, whole and as the jobs rely on. Raises Damaged, WrongRoot."""
    found = Snapshot(root)
    found.check_whole()
    requirements.check(found)
    return found


def _lacking(table: Snapshot) -> str:
    """The properties that a table lacks which was made before there were all of PROPERTIES, as SQL sets them."""
    return ", ".join(f"'{key}' = '{PROPERTIES[key]}'" for key in ADDED_SINCE if key not in table.configuration)
