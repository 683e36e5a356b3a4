"""Calls of Delta's private Java classes through py4j, for what its Python API cannot do. Each is listed here.

| call | Java | if it is missing |
|---|---|---|
| `append` | `OptimisticTransaction`, `actions.Action.fromJson`, `DeltaOperations.Write` | `check` says so |
| `remove` | the same, and `DeltaOperations.ManualUpdate` | Py4JError |
| `checkpoint` | `DeltaLog.checkpoint` | PlatformFault |
| `hush` | `scala.Console.setOutDirect` | Py4JError |

`check` is called at the stream's start and says in one line which Delta to use, before anything is computed. A commit that fails
raises. What Delta does after a commit (a checkpoint each `delta.checkpointInterval` commits, the removal of the log's old files,
a version's checksum) fails in silence, and costs time and no row; `fruitpipe doctor` says when checkpoints no longer come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError

from fruitpipe.errors import MissingRequirement, PlatformFault
from fruitpipe.runtime import lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pyspark.sql import SparkSession

    MoreAfter = Callable[[int], Collection[str]]

WRITE = "DeltaOperations$Write"
TESTED = ", ".join(sorted({lane.spark for lane in lanes.LANES.values()}))
BY_HAND = "DeltaOperations$ManualUpdate$"
CHECKPOINT_RAISES = "spark.databricks.delta.checkpoint.exceptionThrowing.enabled"


def append(
    spark: SparkSession, table_uri: str, adds: Collection[str], more_after: MoreAfter = lambda _: (), note: str = ""
) -> int | None:
    """Commits `adds`, actions of Delta's log in JSON, as an append, and returns its version. Without any, nothing is committed.

    more_after: actions that go with them, told the version that the commit builds on; what it raises refuses the commit. The
    append counts as one that has read the whole table, so Delta refuses it where rows were committed meanwhile.

    note: the commit's `userMetadata`. The setting of that name is the active session's, which in a micro-batch is a copy.
    """
    return _commit(spark, table_uri, _write_append(spark, note), adds, more_after)


def remove(spark: SparkSession, table_uri: str, removes: Collection[str], more_after: MoreAfter = lambda _: ()) -> int | None:
    """Commits `removes` as a change made by hand. The rest is as for `append`."""
    by_hand = getattr(getattr(_jvm(spark).org.apache.spark.sql.delta, BY_HAND), "MODULE$")
    return _commit(spark, table_uri, by_hand, removes, more_after)


def _commit(spark: SparkSession, table_uri: str, operation: Any, lines: Collection[str], more_after: MoreAfter) -> int | None:
    jvm = _jvm(spark)
    transaction = _log(spark, table_uri).startTransaction()
    transaction.readWholeTable()
    version = transaction.readVersion()
    actions = jvm.java.util.ArrayList()
    for line in (*lines, *(more_after(version) if lines else ())):
        actions.add(jvm.org.apache.spark.sql.delta.actions.Action.fromJson(line))
    named = jvm.scala.jdk.javaapi.CollectionConverters.asScala(actions).toSeq()
    no_tags = getattr(transaction, "commitIfNeeded$default$3")()
    committed = transaction.commitIfNeeded(named, operation, no_tags)
    return int(committed.get()) if committed.isDefined() else None


def checkpoint(spark: SparkSession, table_uri: str) -> None:
    """Writes a checkpoint of the table's newest version. Raises PlatformFault where it cannot be written.

    By itself Delta logs that and returns. It is told to raise here alone: after a commit, a checkpoint is not worth a failure.
    """
    spark.conf.set(CHECKPOINT_RAISES, "true")
    try:
        _log(spark, table_uri).checkpoint()
    except Py4JError as error:
        if isinstance(error, Py4JNetworkError):
            raise
        reason = error.java_exception.toString() if isinstance(error, Py4JJavaError) else str(error)
        raise PlatformFault(
            f"{table_uri}: a checkpoint of the table's log cannot be written ({reason.splitlines()[0]}); nothing of the log was "
            "removed. Fix that and start again"
        ) from error
    finally:
        spark.conf.unset(CHECKPOINT_RAISES)


def hush(spark: SparkSession) -> None:
    """Silences what Delta prints on stdout in this thread's calls, as VACUUM does, among the lines of a job."""
    jvm = _jvm(spark)
    console = getattr(getattr(jvm.scala, "Console$"), "MODULE$")
    console.setOutDirect(jvm.java.io.PrintStream(jvm.java.io.OutputStream.nullOutputStream()))


def check(spark: SparkSession, table_uri: str) -> None:
    """Tries the calls of `append` with nothing to commit. Raises MissingRequirement where one is missing."""
    try:
        append(spark, table_uri, ())
    except (TypeError, ValueError, Py4JError) as error:
        if isinstance(error, Py4JJavaError | Py4JNetworkError):  # it is all there, and something else went wrong
            raise
        (reason, *_) = (str(error).partition("Trace:\n")[2] or str(error)).splitlines()
        lane = lanes.of_spark(spark.version)
        remedy = f"give it {lane.delta_jar} in place of that" if lane else f"Spark {spark.version} was not tested, {TESTED} were"
        raise MissingRequirement(
            f"this Spark comes with Delta {_jvm(spark).io.delta.package.VERSION()}, which takes no data files from the workers "
            f"({reason}); {remedy}"
        ) from error


def _write_append(spark: SparkSession, note: str) -> Any:
    """The operation of an append in Delta's history, a WRITE. The number of options after its mode differs between Deltas.

    The first three are partitions, predicate and `userMetadata` in each of them.
    """
    jvm = _jvm(spark)
    write = getattr(jvm.org.apache.spark.sql.delta, WRITE)
    (constructor,) = write._java_lang_class.getConstructors()  # noqa: SLF001 - py4j's word for Java's `.class`
    _, *options = constructor.getParameterTypes()
    given = [jvm.scala.Option.empty() for _ in options]
    given[2] = jvm.scala.Option.apply(note or None)
    return write(jvm.org.apache.spark.sql.SaveMode.Append, *given)


def _jvm(spark: SparkSession) -> Any:
    return spark._jvm  # noqa: SLF001 - what Delta's Python side lacks


def _log(spark: SparkSession, table_uri: str) -> Any:
    """Delta's DeltaLog of the table."""
    return _jvm(spark).org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, table_uri)  # noqa: SLF001
