"""Ends a Spark job at its first task that failed in a way in which each further attempt would fail, too.

Spark begins a failed task again, once on a laptop and three times on a cluster, as most failures pass. It asks nobody.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyspark import SparkContext

from fruitpipe.runtime.spark_errors import JAVA_GONE, SPARK_ERRORS

PERIOD_SECONDS = 0.5
GONE = (*JAVA_GONE, *SPARK_ERRORS, AttributeError)  # Java, or the session, of which pyspark then has no object
TASKS = 10_000  # of a stage, that are looked through


@contextmanager
def ends(context: SparkContext, is_final: Callable[[str], bool]) -> Iterator[list[str]]:
    """Cancels this thread's jobs in the block once a task of theirs failed with a text that `is_final`, which it yields."""
    tag, over, found = f"fruitpipe-{uuid.uuid4().hex}", threading.Event(), list[str]()

    def watch() -> None:
        while not found and not over.wait(PERIOD_SECONDS):
            try:
                found.extend(filter(is_final, _failures(context, tag)))
                if found:
                    context.cancelJobsWithTag(tag)
            except GONE:  # which the block is told, too
                return

    watcher = threading.Thread(target=watch, daemon=True, name="fruitpipe-failures")
    context.addJobTag(tag)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        with suppress(*GONE):
            context.removeJobTag(tag)


def _failures(context: SparkContext, tag: str) -> Iterator[str]:
    """What Spark says of the tasks that failed so far, in the jobs with this tag."""
    java: Any = context._jsc.sc()  # noqa: SLF001 - Python's tracker knows neither tags nor errors
    tracker = context.statusTracker()
    for job in map(tracker.getJobInfo, java.statusTracker().getJobIdsForTag(tag)):
        for stage in map(tracker.getStageInfo, job.stageIds if job else ()):
            if stage and stage.numFailedTasks:
                tasks = java.statusStore().taskList(stage.stageId, stage.currentAttemptId, TASKS)
                errors = (tasks.apply(number).errorMessage() for number in range(tasks.size()))
                yield from (error.get() for error in errors if error.isDefined())
