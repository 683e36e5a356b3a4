"""Upkeep of the features table: compacts small files, removes old ones, and cuts the log.

| call | needs the lease | what a failure does |
|---|---|---|
| `compact` | yes, it commits | raises |
| `vacuum` | yes: no commit names the files of a batch in progress yet | raises; a file that cannot be deleted stays |
| `cut_log` | yes, it commits and removes what the table is read from | raises, and the log stays whole |
| `clear_log` | no: a checkpoint stands for what goes | raises; what is left goes the next time |

The next vacuum tries a file that was left again; an erasure searches for what is left itself.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import PlatformFault
from fruitpipe.table import delta, file_commits, log_files, retention
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from pyspark.sql import SparkSession

REMOVERS = 16  # files of the log removed at the same time
FEW_FILES = 32  # that the driver deletes by itself sooner than a job of Spark's is planned
INVENTORY = pa.schema(  # of files that a vacuum may remove, as Delta has it
    [  # type: ignore[arg-type]
        pa.field("path", pa.string()),
        pa.field("length", pa.int64()),
        pa.field("isDir", pa.bool_()),
        pa.field("modificationTime", pa.int64()),
    ]
)


class Files(NamedTuple):
    """A number of files and their bytes together."""

    number: int
    size_bytes: int


def compact(spark: SparkSession, root: str, small_bytes: int) -> Files:
    """Compacts files smaller than `small_bytes` into files of up to 64 times that size; returns how many, and their bytes.

    It makes one commit that changes no row: neither the change feed nor a refit reads anything of it.
    """
    spark.conf.set("spark.databricks.delta.optimize.minFileSize", small_bytes)
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", 64 * small_bytes)
    done = delta.table(spark, root).optimize().executeCompaction().select("metrics").first()
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
    log, before = delta.file_uri(root, "_delta_log"), now - timedelta(hours=hours)
    old = [
        stat for stat in objects.list_all(delta.folder(root)) if stat.modification_time < before and not stat.path.startswith(log)
    ]
    if not old:
        return
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")  # it insists on a week
    spark.conf.set("spark.databricks.delta.vacuum.parallelDelete.enabled", len(old) > FEW_FILES)
    # It runs beside the batches: on a drive its entries of the log could replace an append's, see `file_commits`.
    spark.conf.set("spark.databricks.delta.vacuum.logging.enabled", "false")
    _hush(spark)
    # The hours count from when a file was removed from the table.
    vacuum = f"VACUUM {delta.in_sql(root)} USING INVENTORY (SELECT * FROM {{files}}) RETAIN {hours} HOURS"  # noqa: S608 - our own name
    spark.sql(vacuum, files=spark.createDataFrame(pa.Table.from_pylist([_listed(stat) for stat in old], INVENTORY)))


def cut_log(spark: SparkSession, root: str, reason: str) -> int:
    """Makes the log begin now: a commit that changes no row, a checkpoint, and nothing before it. Returns the files removed.

    Statistics and predicates of earlier commits name images. Readers of the change feed have to start again. Nothing is removed
    before the checkpoint, read by itself, has shown to hold the whole table; raises PlatformFault where it does not.
    """
    spark.sql(f"ALTER TABLE {delta.in_sql(root)} SET TBLPROPERTIES ('fruitpipe.log_cut_by' = '{reason}')")
    table = Snapshot(root)
    try:
        file_commits.checkpoint(root)
    except PlatformFault as error:
        raise PlatformFault(f"{error}; nothing of the log was removed. Fix that and start again") from error
    log_files.check_checkpoint(table)
    older = log_files.before(delta.folder(root), table.version)
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-cut") as removers:  # with its versions each takes three requests
        list(removers.map(objects.erase, older))
    return len(older)


def clear_log(root: str, now: datetime) -> None:
    """Removes what is older of the log than the table is to remember, which Delta does with checkpoints of its own alone.

    A checkpoint stands for what goes. deltalake's own way leaves Delta's checksum files, which name images.
    """
    table = Snapshot(root)
    hours = retention.in_hours(table.configuration.get(retention.LOG, ""))
    if hours is None or table.configuration.get("delta.enableExpiredLogCleanup", "true").lower() != "true":
        return
    expired = log_files.expired(table.uri, now - timedelta(hours=hours))
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-log") as removers:
        list(removers.map(objects.delete, expired))


def _hush(spark: SparkSession) -> None:
    """Silences what Delta prints on stdout in this thread's calls, as VACUUM does, among the lines of a job."""
    jvm: Any = spark._jvm  # noqa: SLF001 - no setting of Delta's does
    console = getattr(getattr(jvm.scala, "Console$"), "MODULE$")
    console.setOutDirect(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))


def _listed(stat: objects.Stat) -> dict[str, Any]:
    """A file as Delta's vacuum wants it listed, its time in milliseconds."""
    milliseconds = round(1000 * stat.modification_time.timestamp())
    return {"path": objects.for_spark(stat.path), "length": stat.length, "isDir": False, "modificationTime": milliseconds}
