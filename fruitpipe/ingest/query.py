"""One query of the stream: starts it, waits and ends it in one of four ways.

| how it ends | because | the batch in progress | the job then |
|---|---|---|---|
| `End.CAUGHT_UP` | `--once`: no manifest waits | is committed whole | recomputes stale rows, carries erasures out, and ends |
| `End.STOPPED` | SIGTERM or Ctrl-C | commits the chunks that were begun | ends |
| `End.PAUSED` | a due erasure, a full checkpoint | commits the chunks that were begun | does that, and begins a query |
| an error | a batch, Spark, or what goes on beside the batches | keeps what it committed | ends with that error |

What a batch did not commit, the next query's first batch does. A batch that is cut short raises `Stopping`, and Spark then
reports the query as failed. `QueryState`, which the batches keep, says whether that is why it ended; the text of Spark's error
cannot, as it may hold any text, a path for example.
"""

from __future__ import annotations

import enum
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.ingest import checkpoint
from fruitpipe.ingest.query_state import POLL_SECONDS
from fruitpipe.ingest.signals import signals
from fruitpipe.output import say
from fruitpipe.root import layout
from fruitpipe.runtime import session
from fruitpipe.runtime.spark_errors import JAVA_GONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from fruitpipe.ingest.between_batches import BetweenBatches
    from fruitpipe.ingest.micro_batch import Batches
    from fruitpipe.settings import IngestSettings

EVER = "36500d"  # Spark's file source forgets, and then ignores, files older than this
EVENT_BYTES = 256  # an event as the collector writes it; a manifest may hold one or thousands, so a batch is bounded by bytes


class End(enum.Enum):
    """Why a query ended; a failure is an error."""

    CAUGHT_UP = "all that waited is in the table"
    STOPPED = "SIGTERM or Ctrl-C asked for it"
    PAUSED = "work is due during which no query may run"


def start(spark: SparkSession, settings: IngestSettings, batches: Batches) -> StreamingQuery:
    """Starts the query that reads the manifests."""
    batches.begin_query()
    place = objects.for_spark(checkpoint.place(settings.root))
    writer = manifest_lines(spark, settings).writeStream.foreachBatch(batches).option("checkpointLocation", place)
    if settings.once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{round(1000 * settings.trigger_seconds)} milliseconds").start()


def manifest_lines(spark: SparkSession, settings: IngestSettings) -> DataFrame:
    """Every line of every manifest under the root; a batch takes manifests of about as many events as it takes images."""
    folder = objects.for_spark(layout.folder(settings.root, "events"))
    bound = settings.max_files_per_trigger * EVENT_BYTES
    reader = spark.readStream.format("text").options(maxBytesPerTrigger=bound, maxFileAge=EVER)
    reader = reader.options(recursiveFileLookup=True, ignoreMissingFiles=True)
    return reader.option("pathGlobFilter", "*.jsonl").load(folder)


def run(query: StreamingQuery, batches: Batches, between: BetweenBatches) -> End:
    """Waits until the query has ended, and returns why. Raises what a batch, Spark or the work between batches raised."""
    stop = threading.Event()
    with signals(stop), _failures(query, batches):
        end = _wait(query, batches, between, stop)
        if end is not End.CAUGHT_UP:
            _finish(query, batches, end)
    return end


def _wait(query: StreamingQuery, batches: Batches, between: BetweenBatches, stop: threading.Event) -> End:
    """Does what is due between batches until the query ends or must end; returns why."""
    while not (wanted := _wanted(batches, stop)):
        if query.awaitTermination(POLL_SECONDS):  # type: ignore[arg-type]
            between.finish(stop)
            return _wanted(batches, stop) or End.CAUGHT_UP
        between.step(query)
    return wanted


def _wanted(batches: Batches, stop: threading.Event) -> End | None:
    """Why the query must end now; None where it goes on."""
    if stop.is_set():
        return End.STOPPED
    return End.PAUSED if batches.wants_pause() else None


def _finish(query: StreamingQuery, batches: Batches, end: End) -> None:
    """Ends the query after the batch in progress."""
    if end is End.STOPPED:
        say("ingest: stopping after the batch in progress ...")
    try:
        batches.finish(query)
        query.stop()
    except session.SPARK_ERRORS:
        if not batches.state.was_cut_short:
            raise


@contextmanager
def _failures(query: StreamingQuery, batches: Batches) -> Iterator[None]:
    """Raises the error of a batch in place of Spark's, which wraps it. Any other error stops the query."""
    try:
        yield
    except session.SPARK_ERRORS:
        if not batches.state.failure:
            with suppress(*session.SPARK_ERRORS, *JAVA_GONE):
                _stop(query, batches)  # it may have failed itself, or run on beside what did
            raise
    except BaseException:
        _stop(query, batches)
        raise
    if batches.state.failure:
        raise batches.state.failure


def _stop(query: StreamingQuery, batches: Batches) -> None:
    """Ends the query, which waits for a batch in progress: that begins no other chunk."""
    batches.state.end()
    query.stop()
