"""The jobs under spark-submit on a cluster: two executors in processes of their own, which have the installed wheel alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from pathlib import Path

import pyspark
import pytest

from fruitpipe import jars, java, tables
from tests.pictures import fill

SPARK_HOME = Path(pyspark.__file__).parent
DEADLINE_SECONDS = 60
# Run on the cluster before the jobs: where each executor's fruitpipe comes from, and in which folder it works.
WHERE = """
import os, sys
from pyspark.sql import SparkSession

def where(_):
    import fruitpipe
    yield os.environ["SPARK_EXECUTOR_DIRS"], fruitpipe.__file__, os.getcwd()

context = SparkSession.builder.getOrCreate().sparkContext
for row in sorted(set(context.parallelize(range(8), 8).mapPartitions(where).collect())):
    print("executor", *row, sep="|")
"""


@pytest.fixture(scope="module")
def worker_python(tmp_path_factory):
    """An interpreter with fruitpipe's wheel; what the wheel depends on it borrows from this one."""
    folder = tmp_path_factory.mktemp("node")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "."]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("fruitpipe-*.whl")
    (site,) = (folder / "venv").glob("lib/python3*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture(scope="module")
def master(tmp_path_factory, worker_python):
    """A Spark master with two workers of one core each; its URL."""
    folder = tmp_path_factory.mktemp("cluster")
    port, ui_port = free_port(), free_port()
    url = f"spark://127.0.0.1:{port}"
    here = ["--host", "127.0.0.1"]
    commands = [["master.Master", *here, "--port", str(port), "--webui-port", str(ui_port)]]
    for number in range(2):
        work = folder / f"work-{number}"
        commands.append(["worker.Worker", *here, "-c", "1", "-m", "1g", "--webui-port", "0", "--work-dir", str(work), url])
    environment = {**os.environ, "SPARK_HOME": str(SPARK_HOME), "JAVA_HOME": java.home(), "PYSPARK_PYTHON": str(worker_python)}
    with (folder / "log").open("w") as log:
        daemons = [start_daemon(command, environment, folder, log) for command in commands]
        try:
            wait_for_workers(f"http://127.0.0.1:{ui_port}/json/", 2)
            yield url
        finally:
            for daemon in daemons:
                daemon.kill()
                daemon.wait()


@pytest.fixture
def submit(master, worker_python):
    """Runs a job with spark-submit, as a cluster's own settings would have it, and returns its standard output."""
    jar_path = ":".join(jars.paths(jars.DELTA))
    settings = {
        "spark.driver.extraClassPath": jar_path,
        "spark.executor.extraClassPath": jar_path,
        "spark.pyspark.python": str(worker_python),
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]

    def submit(*job):
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, *options, *map(str, job)]
        environment = {**os.environ, "JAVA_HOME": java.home(), "SPARK_HOME": str(SPARK_HOME)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return submit


def start_daemon(command, environment, folder, log):
    daemon = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{command[0]}", *command[1:]]
    return subprocess.Popen(daemon, env=environment, cwd=folder, stdout=log, stderr=log)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_workers(url, count):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if json.load(answer)["aliveworkers"] == count:
                    return
        except OSError:
            pass  # not listening yet
    pytest.fail(f"no {count} workers after {DEADLINE_SECONDS} s")


def test_two_executors_with_the_wheel_alone_ingest_and_refit(spark, tmp_path, root, submit):
    script = tmp_path / "where.py"
    script.write_text(WHERE)
    executors = [line.split("|") for line in submit(script).splitlines() if line.startswith("executor|")]
    assert len({scratch for _, scratch, _, _ in executors}) == 2
    checkout = str(Path.cwd())
    assert not [place for _, _, *places in executors for place in places if place.startswith(checkout)]

    for label, first in (("Kiwi", 0), ("Lemon", 100)):
        fill(tmp_path / "images", 6, label, first)
    said = submit("streaming/ingest.py", "--images", tmp_path / "images", "--root", root, "--once")
    assert said.splitlines()[-1] == "ingest: 12 images featurised, 0 failed"
    said = submit("batch/refit.py", "--root", root, "--components", "3")
    assert "k = 3" in said
    assert tables.rows(spark, root).where("size(features) = 1280").count() == 12
