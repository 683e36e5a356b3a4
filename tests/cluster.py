"""A Spark cluster on this machine, out of the pip package: a master and workers, whose executors are processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

from fruitpipe.runtime import jars, java
from tests.ports import free_port

SPARK_HOME = Path(pyspark.__file__).parent
DEADLINE_SECONDS = 240
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for processes that end before the second compiler's work pays


@dataclass(frozen=True)
class Cluster:
    """Its master's URL and the processes of its workers, which start the executors."""

    url: str
    workers: tuple[int, ...]


@contextmanager
def started(folder: Path, python: str, workers: int = 2) -> Iterator[Cluster]:
    """A master and workers of one core each until the block ends; executors run their Python code with `python`."""
    port, ui_port = free_port(), free_port()
    url = f"spark://127.0.0.1:{port}"
    here = ["--host", "127.0.0.1"]
    commands = [["master.Master", *here, "--port", str(port), "--webui-port", str(ui_port)]]
    for number in range(workers):
        work = folder / f"work-{number}"
        commands.append(["worker.Worker", *here, "-c", "1", "-m", "1g", "--webui-port", "0", "--work-dir", str(work), url])
    environment = {**os.environ, "SPARK_HOME": str(SPARK_HOME), "JAVA_HOME": java.home(), "PYSPARK_PYTHON": python}
    environment.pop("PYTHONPATH", None)  # a node of a cluster knows nothing of this checkout
    with (folder / "log").open("w") as log:
        daemons = [_start_daemon(command, environment, folder, log) for command in commands]
        try:
            _wait_for_workers(f"http://127.0.0.1:{ui_port}/json/", workers)
            yield Cluster(url, tuple(daemon.pid for daemon in daemons[1:]))
        finally:
            for daemon in daemons:
                daemon.kill()
                daemon.wait()


def submit_command(cluster: Cluster, python: str, driver_python: str, **settings: str) -> list[str]:
    """The beginning of a spark-submit that lacks the job, with what a cluster's own settings would hold."""
    # Spark's own jars first: Delta's may bring an older Jackson, with which no session starts.
    jar_path = ":".join([str(SPARK_HOME / "jars" / "*"), *jars.paths(*jars.wanted(s3=False))])
    given = {
        "spark.driver.extraClassPath": jar_path,
        "spark.executor.extraClassPath": jar_path,
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": driver_python,
        "spark.driver.host": "127.0.0.1",
        # No job begins before all executors are there, or the first one could do it alone.
        "spark.cores.max": str(len(cluster.workers)),
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.extraJavaOptions": QUICK_JAVA,
        "spark.executor.extraJavaOptions": QUICK_JAVA,
        "spark.ui.enabled": "false",
    } | settings
    options = [word for key, value in given.items() for word in ("--conf", f"{key}={value}")]
    return [str(SPARK_HOME / "bin" / "spark-submit"), "--master", cluster.url, *options]


def submit_environment() -> dict[str, str]:
    """What spark-submit itself needs."""
    return {**os.environ, "JAVA_HOME": java.home(), "SPARK_HOME": str(SPARK_HOME)}


def _start_daemon(command, environment, folder, log):
    daemon = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{command[0]}", *command[1:]]
    return subprocess.Popen(daemon, env=environment, cwd=folder, stdout=log, stderr=log)


def _wait_for_workers(url: str, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if json.load(answer)["aliveworkers"] == count:
                    return
        except OSError:  # not listening yet
            time.sleep(0.05)
    raise AssertionError(f"no {count} workers after {DEADLINE_SECONDS} s")
