"""A Spark cluster on this machine, out of the pip package: a master and a worker, whose executors are processes of their own."""

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

from fruitpipe.runtime import class_archive, jars, java
from tests.ports import free_port

SPARK_HOME = Path(pyspark.__file__).parent
DEADLINE_SECONDS = 240
# For processes that end before the second compiler's work pays; they share the classes that the jobs' sessions start from.
QUICK_JAVA = " ".join(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *class_archive.options()])


@dataclass(frozen=True)
class Cluster:
    """Its master's URL, the process of its worker, which starts the executors, and their number."""

    url: str
    worker: int
    executors: int


@contextmanager
def started(folder: Path, python: str, executors: int = 2) -> Iterator[Cluster]:
    """A master and a worker until the block ends, for executors of one core each that run their Python code with `python`."""
    port, ui_port = free_port(), free_port()
    url = f"spark://127.0.0.1:{port}"
    here = ["--host", "127.0.0.1"]
    master = ["master.Master", *here, "--port", str(port), "--webui-port", str(ui_port)]
    room = ["-c", str(executors), "-m", f"{executors}g"]
    worker = ["worker.Worker", *here, *room, "--webui-port", "0", "--work-dir", str(folder / "work"), url]
    environment = {**os.environ, "SPARK_HOME": str(SPARK_HOME), "JAVA_HOME": java.home(), "PYSPARK_PYTHON": python}
    environment |= {"SPARK_DAEMON_JAVA_OPTS": QUICK_JAVA, "SPARK_DAEMON_CLASSPATH": _class_path()}
    environment.pop("PYTHONPATH", None)  # a node of a cluster knows nothing of this checkout
    with (folder / "log").open("w") as log:
        daemons = [_start_daemon(command, environment, folder, log) for command in (master, worker)]
        try:
            _wait_for_worker(f"http://127.0.0.1:{ui_port}/json/")
            yield Cluster(url, daemons[1].pid, executors)
        finally:
            for daemon in daemons:
                daemon.kill()
                daemon.wait()


def submit_command(cluster: Cluster, python: str, driver_python: str, **settings: str) -> list[str]:
    """The beginning of a spark-submit that lacks the job, with what a cluster's own settings would hold."""
    given = {
        "spark.driver.extraClassPath": _class_path(),
        "spark.executor.extraClassPath": _class_path(),
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": driver_python,
        "spark.driver.host": "127.0.0.1",
        # No job begins before all executors are there, or the first one could do it alone.
        "spark.cores.max": str(cluster.executors),
        "spark.executor.cores": "1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{DEADLINE_SECONDS}s",  # 30 s else, which a busy machine takes
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


def _class_path() -> str:
    """Spark's own jars first: Delta's may bring an older Jackson, with which no session starts."""
    return ":".join([str(SPARK_HOME / "jars" / "*"), *jars.paths(*jars.wanted(s3=False))])


def _start_daemon(command, environment, folder, log):
    daemon = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{command[0]}", *command[1:]]
    return subprocess.Popen(daemon, env=environment, cwd=folder, stdout=log, stderr=log)


def _wait_for_worker(url: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if json.load(answer)["aliveworkers"]:
                    return
        except OSError:  # not listening yet
            time.sleep(0.05)
    raise AssertionError(f"no worker after {DEADLINE_SECONDS} s")
