"""Translates Spark's errors into fruitpipe's. No other module does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.errors import PySparkException

from fruitpipe import errors
from fruitpipe.errors import PlatformFault

SPARK_ERRORS = (PySparkException, Py4JError)  # a failed job comes as either
JAVA_GONE = (Py4JNetworkError, ConnectionError, EOFError)  # what a call gets where the Java process has ended
EXIT_SECONDS = 2  # that a process may take from closing its connections to its end
# What the machine lacks: the text of the error, and what to do.
LACKING = {
    "No space left on device": "a disk is full; make room and start again: what was committed is kept",
    "Disk quota exceeded": "a disk's quota is used up; make room and start again: what was committed is kept",
    "spark.driver.maxResultSize": "the workers' results are more than the driver takes, as with very many labels; raise it "
    "(--conf spark.driver.maxResultSize=4g) and start again",
    "OutOfMemoryError": "Java ran out of memory; give it more (spark.driver.memory, spark.executor.memory) and start again",
    "MemoryError": "a Python worker ran out of memory; give the workers more (spark.executor.memoryOverhead) and start again",
}
UNREADABLE = re.compile(r"\[FAILED_READ_FILE[^]]*\] Encountered error while reading file (.+?\.parquet)")


@contextmanager
def explained() -> Iterator[None]:
    """Raises the FruitpipeError that caused an error of Spark, in a Python worker or a callback, in its place.

    Raises PlatformFault where the machine lacks something or Java has ended, Damaged for a Parquet file that cannot be read.
    """
    try:
        yield
    except (*SPARK_ERRORS, ConnectionError, EOFError) as error:
        ours = own_error(str(error)) or _lacking(str(error)) or _damaged(str(error)) or _java_is_gone()
        if ours is None:
            raise
        raise ours from error


def own_error(text: str) -> errors.FruitpipeError | None:
    """The last FruitpipeError in `text`, a traceback as Spark passes it on; MissingRequirement for a missing module."""
    missing = re.findall(r"^\s*ModuleNotFoundError: No module named '([\w.]+)'", text, flags=re.MULTILINE)
    if missing:
        return errors.MissingRequirement(
            f"the workers' Python has no module {missing[-1]}; install fruitpipe there as on this node"
        )
    found = re.findall(r"^\s*fruitpipe\.errors\.(\w+): (.*)$", text, flags=re.MULTILINE)
    if not found:
        return None
    kind = getattr(errors, found[-1][0], errors.FruitpipeError)
    return kind(found[-1][1]) if issubclass(kind, errors.FruitpipeError) else None


def _lacking(text: str) -> PlatformFault | None:
    return next((PlatformFault(f"{what} ({sign})") for sign, what in LACKING.items() if sign in text), None)


def _damaged(text: str) -> errors.Damaged | None:
    """The error for a Parquet file that Spark could not read: it is missing, cut, or has a page with another checksum."""
    found = UNREADABLE.search(text)
    return (
        errors.Damaged(f"{found[1]}: cannot be read; fruitpipe doctor --root ROOT --verify says how to repair it")
        if found
        else None
    )


def _java_is_gone() -> PlatformFault | None:
    """The error where the Java process of this one has ended; py4j raises many different errors then."""
    process = getattr(SparkContext._gateway, "proc", None)  # noqa: SLF001 - Spark keeps it nowhere else
    try:
        ended = process is not None and process.wait(EXIT_SECONDS) is not None
    except subprocess.TimeoutExpired:
        return None
    log = os.environ.get("FRUITPIPE_LOG", "the cluster's log")
    gone = f"Spark's Java process is gone, killed or out of memory; {log} may say why. Start again: what was committed is kept"
    return PlatformFault(gone) if ended else None
