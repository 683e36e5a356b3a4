"""Spark's workers: tasks as one Spark job, and what its error says of a worker that is gone."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruitpipe.ingest.worker import Overdue, WorkerDied
from fruitpipe.runtime import deadline, first_failure, session
from fruitpipe.table import data_files
from fruitpipe.table.data_files import Group

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from fruitpipe.ingest.worker import Worker

# As Spark words it when a Python worker is gone: killed, out of memory, or crashed in native code.
WORKER_DIED = "Python worker exited unexpectedly"
# A container is killed for the memory that its workers take together, by YARN or by the kernel (137; 143 after a request to end).
# So Spark 4.0 to 4.2 word it on YARN and on clusters of their own, whose driver may know no more than that the executor is gone.
KILLED = (
    "Container killed by YARN for exceeding (?:physical|virtual) memory limits"
    r"|(?:Exit status:|Command exited with code) 1(?:37|43)\b"
    "|Remote RPC client disassociated. Likely due to containers exceeding thresholds"
)
CONTAINER_DIED = rf"ExecutorLostFailure \(executor \S+ exited caused by one of the running tasks\) Reason: .*(?:{KILLED})"
# A worker whose memory ran out may live on to say so; where Java's ran out, no image is at fault.
WORKER_GAVE_UP = re.compile(rf"{WORKER_DIED}|(?<!OutOf)MemoryError|{CONTAINER_DIED}")


@dataclass(frozen=True)
class SparkWorkers:
    """The Python workers of a session."""

    spark: SparkSession

    @property
    def cores(self) -> int:
        """Tasks that the cluster runs at the same time."""
        return int(self.spark.sparkContext.defaultParallelism)

    @property
    def are_here(self) -> bool:
        """Whether the workers are processes of this machine."""
        return str(self.spark.sparkContext.master).startswith("local")

    def load(self, worker: Worker) -> None:
        """Starts a worker on each core, which loads the model. The first batch raises the same error and reports it."""
        # A stopped context raises AttributeError.
        with suppress(*session.SPARK_ERRORS, OSError, AttributeError):
            self.spark.sparkContext.parallelize(range(self.cores), self.cores).foreachPartition(worker.load)

    def run(self, worker: Worker, references: pa.Table) -> list[Group]:
        """Runs one Spark job. Raises WorkerDied, Overdue, and what else Spark raises."""
        paths = frozenset(references["path"].to_pylist())
        with first_failure.ends(self.spark.sparkContext, lambda text: deadline.overdue(text) in paths) as overdue:
            try:
                rows = self.spark.createDataFrame(references).mapInArrow(worker, data_files.GROUPS).collect()
            except session.SPARK_ERRORS as error:
                path = deadline.overdue(overdue[0] if overdue else str(error))
                if path is not None and path in paths:
                    raise Overdue(path) from error
                if WORKER_GAVE_UP.search(str(error)):
                    raise WorkerDied from error
                raise
        return [Group(*row) for row in rows]
