"""Creates and reads the features table through Delta's public API. The only importer of delta.

The stream's process is its only writer: Delta on S3 is safe with one writer and no more.

| call | needs the lease | what a failure does |
|---|---|---|
| `create`, `execute` | yes, they commit | raises, and nothing is committed |
| `describe`, `is_new`, `is_ours`, `rows`, `rows_at`, `changes` | no | raises |

`commits` and `file_commits` change rows, `upkeep` compacts and removes files.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, NotFound, PlatformFault, WrongRoot
from fruitpipe.table import first_commit, log_files, requirements, retention
from fruitpipe.table.columns import PROPERTIES, SCHEMA
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from delta.tables import DeltaMergeBuilder, DeltaTable
    from pyspark.sql import DataFrame, SparkSession

# What makes a file say something else than the table: somebody else's doing, as `create` asks for neither.
HIDING = {"deletionVectors", "columnMapping"}


class Table(NamedTuple):
    """Delta's id of the table, which a new table does not share, its version, and whether its files hold its rows alone."""

    id: str
    version: int
    plain: bool


def folder(root: str) -> str:
    """The URI of the features table for the workers and the object store."""
    return objects.join(root, "features")


def features_uri(root: str) -> str:
    """The URI of the features table for Spark."""
    return objects.for_spark(folder(root))


def file_uri(root: str, name: str) -> str:
    """The URI of one of the table's data files. The table has no partitions, so all are in one folder."""
    return objects.join(folder(root), name)


def in_sql(root: str) -> str:
    """The table's name in Spark's SQL."""
    return "delta.`{}`".format(features_uri(root).replace("`", "``"))


def table(spark: SparkSession, root: str) -> DeltaTable:
    """The table as Delta's Python API has it. Raises AnalysisException where there is none."""
    from delta.tables import DeltaTable  # takes 0.2 s of processor time with pyspark, for jobs that open a session

    return DeltaTable.forPath(spark, features_uri(root))


def describe(root: str) -> Table:
    """The table as it is now, read without Spark. Raises NotFound where there is none yet, WrongRoot, Damaged, PlatformFault."""
    try:
        found = _checked(root)
    except NotFound:
        _check_no_remains(root)
        raise
    return Table(found.id, found.version, not found.partitions and HIDING.isdisjoint(found.features))


def is_new(root: str) -> bool:
    """Whether there is no features table yet. Needs no Spark.

    Raises WrongRoot for a table that the jobs cannot work with, or what is left of one, and Damaged, PlatformFault.
    """
    try:
        requirements.check(Snapshot(root))
    except NotFound:
        _check_no_remains(root)
        return True
    return False


def is_ours(root: str, hours: int = retention.WEEK_HOURS) -> bool:
    """Whether there is a table as `create` makes it. Needs no Spark; False where only Spark can find out."""
    try:
        table = Snapshot(root)
        requirements.check(table)
    except (NotFound, PlatformFault, WrongRoot):
        return False
    return not retention.lacking(table.configuration, hours)


def create(
    spark: SparkSession, root: str, before_commit: Callable[[], None] = lambda: None, hours: int = retention.WEEK_HOURS
) -> None:
    """Makes an empty features table, or gives one that is there what it lacks.

    `before_commit` raises where this process may write none. hours: that it is to remember at least, see `retention`; a table
    that does so for longer stays as it is.

    Raises WrongRoot for a table with other columns, or what is left of a table.
    """
    if objects.children(folder(root)) and not is_new(root):
        if lacking := retention.lacking(_checked(root).configuration, hours):
            before_commit()
            wanted = ", ".join(f"'{key}' = '{interval}'" for key, interval in lacking.items())
            spark.sql(f"ALTER TABLE {in_sql(root)} SET TBLPROPERTIES ({wanted})")
    else:
        begin(root, before_commit, hours)


def begin(root: str, before_commit: Callable[[], None], hours: int) -> None:
    """Makes an empty features table where there is none (`is_new`), without Spark. The rest is as for `create`."""
    before_commit()
    objects.delete_all(log_files.folder(folder(root)))  # what is left of one that was begun; Delta would make no table there
    first_commit.write(folder(root), SCHEMA, PROPERTIES | retention.lacking({}, hours), datetime.now(UTC))


def rows(spark: SparkSession, root: str) -> DataFrame:
    """The table as it is now, all columns of FEATURES."""
    return spark.read.format("delta").load(features_uri(root))


def rows_at(spark: SparkSession, root: str, at_version: int) -> DataFrame:
    """The table as it was at a version, all columns of FEATURES."""
    return spark.read.format("delta").option("versionAsOf", at_version).load(features_uri(root))


def changes(spark: SparkSession, root: str, after_version: int, to_version: int) -> DataFrame:
    """The change feed after one version up to another: FEATURES, `_change_type` and `_commit_version`.

    Raises NotFound where the change feed no longer reaches back so far.
    """
    from pyspark.errors import AnalysisException

    reader = spark.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", after_version + 1).option("endingVersion", to_version)
    try:
        return reader.load(features_uri(root))
    except AnalysisException as error:
        raise NotFound(f"{root}: changes after version {after_version} are no longer kept; read the whole table") from error


def _check_no_remains(root: str) -> None:
    """Raises WrongRoot where there are data files or parts of a log without a table: a new one would hide them."""
    data = [name for name in objects.children(folder(root)) if name != "_delta_log/"]
    if data or log_files.has_state(folder(root)):
        held = f"{len(data)} files or folders beside the log, {data[0]} among them," if data else "a log"
        raise WrongRoot(
            f"{folder(root)} holds {held} and no first commit to read them by, as after half a restore; restore its _delta_log "
            "too, or move the folder away and start again: all images are then featurised again"
        )


def _checked(root: str) -> Snapshot:
    """The table, whole and as the jobs rely on. Raises Damaged, WrongRoot."""
    found = Snapshot(root)
    found.check_whole()
    requirements.check(found)
    return found


def execute(merging: DeltaMergeBuilder, root: str) -> None:
    """Carries a merge out. Raises LeaseLost for one that is not the next, in a block of `commits.fenced`."""
    if not merging.execute().collect():  # its number has been used, so Delta takes it for one that was done before
        raise LeaseLost(
            f"{root}/features: somebody else wrote it since this stream last did; nothing was written. Start it again"
        )
