"""Which versions go together, and what a lane's environment installs."""

import subprocess
import zipfile
from pathlib import Path

import pyspark
import pytest

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import lanes, session

CHECKOUT = Path(__file__).parents[2]
CONSTRAINTS = CHECKOUT / "constraints.txt"


def installed(monkeypatch, **versions):
    monkeypatch.setattr(lanes, "_installed", lambda package: versions[package.replace("-", "_")])


@pytest.mark.parametrize("lane", lanes.LANES.values(), ids=lanes.LANES)
def test_the_lane_of_an_environment_is_that_of_its_spark_and_delta(monkeypatch, lane):
    installed(monkeypatch, pyspark=lane.spark, delta_spark=lane.delta)
    assert lanes.current() == lane


@pytest.mark.lane
def test_spark_has_the_hadoop_of_its_lane_and_the_class_that_a_stream_over_s3_writes_its_checkpoint_with():
    lane, jars = lanes.current(), Path(pyspark.__file__).parent / "jars"
    assert (jars / f"hadoop-client-api-{lane.hadoop}.jar").exists()
    (sql,) = jars.glob(f"spark-sql_{lanes.SCALA}-*.jar")
    (manager,) = session._checkpoints().values()
    assert f"{manager.replace('.', '/')}.class" in zipfile.ZipFile(sql).namelist()


def test_a_patch_of_spark_is_the_same_lane(monkeypatch):
    installed(monkeypatch, pyspark="4.0.5", delta_spark="4.0.1")
    assert lanes.current().name == "spark-4.0"


def test_a_pair_that_was_not_tested_is_refused_with_those_that_were(monkeypatch):
    installed(monkeypatch, pyspark="4.3.0", delta_spark="4.4.1")
    default = lanes.LANES[lanes.DEFAULT]
    told = rf"pyspark 4\.3\.0 with delta-spark 4\.4\.1 .* run: pip install pyspark=={default.spark} delta-spark=={default.delta}"
    with pytest.raises(MissingRequirement, match=told):
        lanes.current()


def test_a_running_spark_of_emr_is_known_by_its_series():
    assert lanes.of_spark("4.1.1-amzn-0") == lanes.LANES["spark-4.1"]
    assert lanes.of_spark("4.3.0") is None


def test_a_release_of_emr_is_told_by_its_name():
    assert lanes.of_emr("emr-spark-8.1.0") == lanes.LANES["spark-4.1"]
    assert lanes.of_emr("emr-spark-8.0.0") == lanes.LANES["emr-8.0"]
    assert lanes.of_emr("emr-7.13.0") is lanes.of_emr("") is None


def test_the_constraints_of_a_lane_differ_from_the_default_ones_in_its_pins_alone():
    default = CONSTRAINTS.read_text()
    for lane in lanes.LANES.values():
        changed = set(lanes.constraints(lane, default).splitlines()) - set(default.splitlines())
        assert changed == set(lane.pins) - set(lanes.LANES[lanes.DEFAULT].pins)


def test_the_default_lane_is_what_the_constraints_install():
    assert set(lanes.LANES[lanes.DEFAULT].pins) <= set(CONSTRAINTS.read_text().splitlines())


def test_make_lanes_fails_where_the_lanes_cannot_be_told(tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    for done in ("ready", "ready-dev"):
        (tmp_path / done).touch()
    assert subprocess.run(["make", "lanes", f"VENV={tmp_path}"], cwd=CHECKOUT, check=False).returncode
