"""The features table: one row per image, features or the reason why there are none. The only importer of delta.

The stream's driver is its only writer: Delta on S3 is safe with one writing driver and no more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import pyarrow as pa
from delta.tables import DeltaTable
from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage
from pyspark.sql import types as T  # noqa: N812

from fruitpipe import objects
from fruitpipe.errors import MissingRequirement, NotFound, PlatformFault, WrongRoot
from fruitpipe.runtime import jars
from fruitpipe.table import first_commit, lookup
from fruitpipe.table.snapshot import Snapshot

FEATURES = T.StructType(
    [
        T.StructField("path", T.StringType(), nullable=False),
        T.StructField("label", T.StringType(), nullable=False),
        T.StructField("modification_time", T.TimestampType()),
        T.StructField("length", T.LongType()),
        T.StructField("etag", T.StringType()),
        T.StructField("sha256", T.StringType()),
        T.StructField("width", T.IntegerType()),
        T.StructField("height", T.IntegerType()),
        T.StructField("features", T.ArrayType(T.FloatType())),
        T.StructField("error", T.StringType()),
        T.StructField("error_message", T.StringType()),
        T.StructField("extractor", T.StringType(), nullable=False),
        T.StructField("ingested_at", T.TimestampType(), nullable=False),
    ]
)
COLUMNS = FEATURES.fieldNames()
OUTCOMES = T.StructType([*FEATURES.fields, T.StructField("outcome", T.StringType())])  # what `featurise` says of each image
PROPERTIES = {
    "delta.enableChangeDataFeed": "true",  # the refit reads what changed, not the table
    "delta.enableDeletionVectors": "false",  # an erased row must leave its file, not be marked in it
    # Delta's default, 10, is for larger commits: a checkpoint takes a young Java 4 s, and a reader some ms for each commit since.
    "delta.checkpointInterval": "50",
    # Statistics of 1280 floats say nothing and would make each commit larger than its rows.
    "delta.dataSkippingStatsColumns": "path,label,modification_time,length,error,extractor,ingested_at",
}
# What makes a file say something else than the table: somebody else's doing, as `create` asks for neither.
HIDING = {"deletionVectors", "columnMapping"}
INVENTORY = pa.schema(  # of files that a vacuum may remove, as Delta has it
    [  # type: ignore[arg-type]
        pa.field("path", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("isDir", pa.bool_()),
        pa.field("modificationTime", pa.int64()),
    ]
)
WRITE = "DeltaOperations$Write"
LOG_FILE = re.compile(r"\.?(\d{20})\.")
# Two outcomes that are no rows of the table.
TOUCHED = "touched"
GONE = "gone"
SPANS = 4  # of time that a merge looks into; each takes Spark time to compile


class Files(NamedTuple):
    """A number of files and their bytes together."""

    number: int
    size_bytes: int


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


def _in_sql(root: str) -> str:
    return "delta.`{}`".format(features_uri(root).replace("`", "``"))


def describe(spark: SparkSession, root: str) -> Table:
    """What the table says of itself."""
    detail = DeltaTable.forPath(spark, features_uri(root)).detail().first()
    assert detail is not None
    plain = not detail["partitionColumns"] and HIDING.isdisjoint(detail["tableFeatures"] or ())
    return Table(detail["id"], plain)


def exists(spark: SparkSession, root: str) -> bool:
    """Whether there is a features table. Raises WrongRoot for a folder `features` that is none of ours."""
    try:
        DeltaTable.forPath(spark, features_uri(root))
    except AnalysisException as error:
        if error.getCondition() == UNBORN:
            return False
        if error.getCondition() != NO_TABLE:
            raise
    else:
        return True
    if objects.children(folder(root)):
        raise WrongRoot(f"{root}/features holds files that are no Delta table; give a --root of fruitpipe's own")
    return False


def is_ours(root: str) -> bool:
    """Whether there is a table with the columns of FEATURES, as seen without Spark, which is to judge what cannot be read so."""
    try:
        return Snapshot(root).columns == COLUMNS
    except (NotFound, PlatformFault):
        return False


def create(spark: SparkSession, root: str, before_commit: Callable[[], None] = lambda: None) -> None:
    """Makes an empty features table, unless there is one; `before_commit` raises where this process may write none.

    Raises WrongRoot for a table with other columns, MissingRequirement for a Delta that would not take the stream's commits.
    """
    if objects.children(folder(root)) and exists(spark, root):
        _check_columns(spark, root)
    else:
        before_commit()
        objects.delete_all(file_uri(root, "_delta_log"))  # one without a commit, where Delta would make no table
        first_commit.write(folder(root), FEATURES.json(), PROPERTIES, datetime.now(UTC))
    _check_delta(spark, root)


def version(spark: SparkSession, root: str) -> int:
    """The table's newest version. Raises NotFound where there is no table yet."""
    if not exists(spark, root):
        raise NotFound(f"{root}: there are no features yet; run streaming/ingest.py --images URI --root {root} first")
    _check_columns(spark, root)
    return int(DeltaTable.forPath(spark, features_uri(root)).history(1).first()["version"])  # type: ignore[index]


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


def compact(spark: SparkSession, root: str, small_bytes: int) -> Files:
    """Packs files smaller than `small_bytes` into files of up to 64 times as many; returns those that were packed.

    One commit that changes no row: neither the change feed nor a refit has anything to read of it.
    """
    spark.conf.set("spark.databricks.delta.optimize.minFileSize", small_bytes)
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", 64 * small_bytes)
    done = DeltaTable.forPath(spark, features_uri(root)).optimize().executeCompaction().select("metrics").first()
    assert done is not None
    removed = done["metrics"]["filesRemoved"]
    return Files(done["metrics"]["numFilesRemoved"], removed["totalSize"] or 0)


def vacuum(spark: SparkSession, root: str, hours: int, now: datetime) -> None:
    """Removes files that the table has not needed for `hours`, those of the change feed among them. Lists the whole folder.

    now: a moment at which no file lay there that is still to be committed. Delta itself would take the time when it comes to it,
    which is later by as long as the machine slept, and so remove what a worker wrote meanwhile.

    A reader of an older version loses it: the hours must outlast the longest refit, and be less than the time between two refits
    only if every refit may read all rows.
    """
    log, before = file_uri(root, "_delta_log"), now - timedelta(hours=hours)
    old = [stat for stat in objects.list_all(folder(root)) if stat.modification_time < before and not stat.path.startswith(log)]
    if not old:
        return
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")  # it insists on a week
    spark.conf.set("spark.databricks.delta.vacuum.parallelDelete.enabled", "true")
    # The hours count from when a file was removed from the table.
    vacuum = f"VACUUM {_in_sql(root)} USING INVENTORY (SELECT * FROM {{files}}) RETAIN {hours} HOURS"  # noqa: S608 - our own name
    spark.sql(vacuum, files=spark.createDataFrame(pa.Table.from_pylist([_listed(stat) for stat in old], INVENTORY)))


def _listed(stat: objects.Stat) -> dict[str, Any]:
    """A file as Delta's vacuum wants it listed, its time in milliseconds."""
    milliseconds = round(1000 * stat.modification_time.timestamp())
    return {"path": objects.for_spark(stat.path), "length": stat.length, "isDir": False, "modificationTime": milliseconds}


def remove(spark: SparkSession, root: str, paths: Sequence[str]) -> int:
    """Deletes the rows of `paths`, in a commit that names none of them, and says how many images had one."""
    there = lookup.of_paths(root, paths)
    if not there:
        return 0
    gone = spark.createDataFrame(pa.table({"path": pa.array(sorted(there), pa.string())}))
    absent = {column.name: F.lit(None).cast(column.dataType) for column in FEATURES if column.name != "path"}
    merge(spark, root, gone.withColumns({**absent, "outcome": F.lit(GONE)}))
    return len(there)


def cut_log(spark: SparkSession, root: str, reason: str) -> int:
    """Makes the log begin now: a commit that changes no row, a checkpoint, and nothing before it. Returns the files removed.

    Statistics and predicates of earlier commits name images. Readers of the change feed have to begin anew.
    """
    spark.sql(f"ALTER TABLE {_in_sql(root)} SET TBLPROPERTIES ('fruitpipe.log_cut_by' = '{reason}')")
    newest = version(spark, root)
    _log(spark, root).checkpoint()
    log = objects.list_all(file_uri(root, "_delta_log"))
    older = [uri for stat in log if (uri := stat.path) and _is_before(newest, objects.name(uri))]
    for uri in older:
        objects.erase(uri)
    return len(older)


def add(spark: SparkSession, root: str, files: Collection[str]) -> None:
    """Adds rows of images that the table does not have: those of data files that lie in its folder, by their `add` actions.

    Nothing is committed where there are no files.
    """
    jvm = _jvm(spark)
    actions = jvm.java.util.ArrayList()
    for file in files:
        actions.add(jvm.org.apache.spark.sql.delta.actions.Action.fromJson(file))
    named = jvm.scala.jdk.javaapi.CollectionConverters.asScala(actions).toSeq()
    transaction = _log(spark, root).startTransaction()
    no_tags = getattr(transaction, "commitIfNeeded$default$3")()
    transaction.commitIfNeeded(named, _append(spark), no_tags)


def _append(spark: SparkSession) -> Any:
    """What Delta's history calls an append: a WRITE. How many options follow its mode differs between versions of Delta."""
    jvm = _jvm(spark)
    write = getattr(jvm.org.apache.spark.sql.delta, WRITE)
    (constructor,) = write._java_lang_class.getConstructors()  # noqa: SLF001 - py4j's word for Java's `.class`
    _, *options = constructor.getParameterTypes()
    return write(jvm.org.apache.spark.sql.SaveMode.Append, *[jvm.scala.Option.empty() for _ in options])


def _check_delta(spark: SparkSession, root: str) -> None:
    """Tries what `add` asks of Delta that is not in its API, with nothing to commit: so it is known at the start."""
    try:
        add(spark, root, ())
    except (TypeError, ValueError, Py4JError) as error:
        if isinstance(error, Py4JJavaError | Py4JNetworkError):  # it is all there, and something else went wrong
            raise
        (reason, *_) = (str(error).partition("Trace:\n")[2] or str(error)).splitlines()
        raise MissingRequirement(
            f"this Spark comes with Delta {_jvm(spark).io.delta.package.VERSION()}, which takes no data files from the workers "
            f"({reason}); give it {jars.DELTA} in place of that"
        ) from error


def outcomes(spark: SparkSession, uris: Sequence[str]) -> DataFrame:
    """The outcomes, with the schema OUTCOMES, in Parquet files."""
    return spark.read.schema(OUTCOMES).parquet(*map(objects.for_spark, uris))


def merge(spark: SparkSession, root: str, outcomes: DataFrame, ingested: Collection[datetime] = ()) -> None:
    """Brings the table to what `outcomes` (FEATURES and `outcome`) say: one commit, one row per image.

    ingested: `ingested_at` of all rows that the table has of those images, one of each. A merge by path alone, as where no times
    are told, opens all files, for 2 ms each, as each file of a large table holds paths of all labels; what was ingested at some
    time lies in few.
    """
    matches = F.expr("t.path = s.path")
    if ingested:
        matches &= reduce(or_, (F.col("t.ingested_at").between(*map(F.lit, span)) for span in spans(ingested)))
    row: dict[str, str | Column] = {column: f"s.{column}" for column in COLUMNS}
    touched: dict[str, str | Column] = {column: f"s.{column}" for column in ("modification_time", "length", "etag")}
    table = DeltaTable.forPath(spark, features_uri(root)).alias("t")
    (
        table.merge(outcomes.alias("s"), matches)
        .whenMatchedDelete(f"s.outcome = '{GONE}'")
        .whenMatchedUpdate(f"s.outcome = '{TOUCHED}'", set=touched)
        .whenMatchedUpdate(set=row)
        .whenNotMatchedInsert(f"s.outcome NOT IN ('{GONE}', '{TOUCHED}')", values=row)
        .execute()
    )


def spans(times: Collection[datetime]) -> list[tuple[datetime, datetime]]:
    """First and last moments of what covers `times`: up to SPANS spans, parted by the longest gaps of over a minute."""
    moments = sorted(times)
    gaps = [at for at in range(1, len(moments)) if moments[at] - moments[at - 1] > timedelta(minutes=1)]
    longest = sorted(gaps, key=lambda at: moments[at] - moments[at - 1])[1 - SPANS :]
    return [(moments[first], moments[end - 1]) for first, end in itertools.pairwise([0, *sorted(longest), len(moments)])]


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm  # noqa: SLF001 - what Delta's Python side lacks


def _log(spark: SparkSession, root: str) -> Any:
    """Delta's own view of the table's log: what its Python side has no words for."""
    return _jvm(spark).org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, features_uri(root))  # noqa: SLF001


def _is_before(newest: int, name: str) -> bool:
    """Whether a file of the log, its name a version and what it holds, is of an earlier version."""
    found = LOG_FILE.match(name)
    return found is not None and int(found[1]) < newest


def _check_columns(spark: SparkSession, root: str) -> None:
    there = rows(spark, root).columns
    if there != COLUMNS:
        raise WrongRoot(f"{root}/features has the columns {', '.join(there)}, not fruitpipe's; give a --root of its own")
