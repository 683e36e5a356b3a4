"""The wheel alone, without the checkout: its command runs the jobs from any folder, and a cluster's executors have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest

from fruitpipe.runtime import cache, class_archive
from tests import cluster
from tests.commands import CHECKOUT, elsewhere
from tests.pictures import fill
from tests.scripts import load

package = load("package")
pytestmark = pytest.mark.spark

# Submitted to the cluster: the jobs, one after the other in one driver, as its and the executors' Java takes longer to start than
# they do; then where each executor's fruitpipe comes from, and in which folder it works.
JOBS = """
import json, os, runpy, sys
from pyspark.sql import SparkSession

def where(_):
    import fruitpipe
    yield fruitpipe.__file__, os.getcwd()  # each executor has a working folder of its own

for job in json.loads(sys.argv[1]):
    sys.argv = job
    try:
        runpy.run_path(job[0], run_name="__main__")
    except SystemExit as ended:
        print("ended with", ended.code)
context = SparkSession.builder.getOrCreate().sparkContext
for row in sorted(set(context.parallelize(range(8), 8).mapPartitions(where).collect())):
    print("executor", *row, sep="|")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that holds the wheel, and borrows all that it depends on."""
    work = tmp_path_factory.mktemp("wheel")
    environment = work / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    package.pip("--python", str(python), "install", "--no-deps", "--no-index", str(package.own_wheel(work)))
    (folder,) = environment.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (folder / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    archive = class_archive.path()  # of the jars, which are borrowed as well
    (environment / archive.name).symlink_to(archive)
    asked = [python, "-c", "import fruitpipe; print(fruitpipe.__file__)"]
    where = subprocess.run(asked, cwd=work, capture_output=True, check=True)
    assert Path(where.stdout.decode()).is_relative_to(folder)
    return python


def test_the_wheels_command_ingests_refits_and_tells_from_another_folder(python, tmp_path):
    alone = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "FRUITPIPE_CACHE": str(cache.folder())}
    fill(tmp_path / "images", 6)
    with elsewhere(alone, python=python, cwd=tmp_path) as commands:

        def run(line):
            ended = commands.run(line)
            assert (ended.code, ended.stderr) == (0, "")
            return ended.stdout

        assert run("fruitpipe ingest --images images --root root --once").endswith("ingest: 6 images featurised, 0 failed\n")
        assert "v000001: 6 rows, 1 labels; k = 2 keeps" in run("fruitpipe refit --root root --components 2 --no-report")
    status = [python.with_name("fruitpipe"), "status", "--root", "root", "--json"]
    told = subprocess.run(status, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["images"] == 6


def test_the_wheel_holds_the_page_for_a_phone(python):
    asked = (
        "from importlib.resources import files; print(*(one.name for one in files('fruitpipe.app').joinpath('page').iterdir()))"
    )
    told = subprocess.run([python, "-P", "-c", asked], cwd="/", capture_output=True, text=True, check=True).stdout
    assert set(told.split()) == {path.name for path in Path(CHECKOUT, "fruitpipe/app/page").iterdir()}


@pytest.fixture
def submit(tmp_path, python):
    """Runs a script with spark-submit, as a cluster's own settings would have it, and returns its standard output."""
    (tmp_path / "cluster").mkdir()
    with cluster.started(tmp_path / "cluster", str(python)) as there:

        def submit(script, *arguments):
            command = [*cluster.submit_command(there, str(python), sys.executable), str(script), *arguments]
            given = {"cwd": CHECKOUT, "env": cluster.submit_environment()}
            done = subprocess.run(command, **given, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            return done.stdout

        yield submit


def test_two_executors_with_the_wheel_alone_ingest_and_refit(tmp_path, submit):
    for label, first in (("Kiwi", 0), ("Lemon", 100)):
        fill(tmp_path / "images", 6, label, first)
    script, root = tmp_path / "jobs.py", f"file://{tmp_path}/root"
    script.write_text(JOBS)
    ingest = ["streaming/ingest.py", "--images", str(tmp_path / "images"), "--root", root, "--once"]
    refit = ["batch/refit.py", "--root", root, "--components", "3"]
    lines = submit(script, json.dumps([ingest, refit])).splitlines()

    executors = [line.split("|") for line in lines if line.startswith("executor|")]
    assert len({folder for _, _, folder in executors}) == 2
    assert not [place for _, *places in executors for place in places if place.startswith(str(CHECKOUT))]
    first, second = (number for number, line in enumerate(lines) if line == "ended with 0")
    assert lines[first - 1] == "ingest: 12 images featurised, 0 failed"
    assert "k = 3" in "\n".join(lines[first:second])
    features = deltalake.DeltaTable(f"{root}/features").to_pyarrow_table()["features"].to_pylist()
    assert [len(vector) for vector in features] == [1280] * 12
