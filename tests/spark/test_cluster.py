"""The jobs under spark-submit on a cluster: two executors in processes of their own, which have the installed wheel alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from fruitpipe.table import delta
from tests import cluster
from tests.pictures import fill

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
    source = folder / "source"  # a copy, since pip builds in place: what an earlier build left would be in the wheel, too
    shutil.copytree("fruitpipe", source / "fruitpipe", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("fruitpipe-*.whl")
    (site,) = (folder / "venv").glob("lib/python3*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return python


@pytest.fixture(scope="module")
def submit(tmp_path_factory, worker_python):
    """Runs a job with spark-submit, as a cluster's own settings would have it, and returns its standard output."""
    with cluster.started(tmp_path_factory.mktemp("cluster"), str(worker_python)) as there:
        begin = cluster.submit_command(there, str(worker_python), sys.executable)

        def submit(*job):
            command = [*begin, *map(str, job)]
            done = subprocess.run(command, env=cluster.submit_environment(), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            return done.stdout

        yield submit


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
    assert delta.rows(spark, root).where("size(features) = 1280").count() == 12
