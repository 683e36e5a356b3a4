"""From a scheduled event to a published version: the step that the trigger adds is run as the cluster would run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruitpipe import objects
from fruitpipe.objects import s3 as s3_objects
from fruitpipe.refit import pointer, publication
from fruitpipe.runtime import jars, java, session
from tests.pictures import jpeg

pytestmark = pytest.mark.spark

CHECKOUT = Path(__file__).parents[2]
PIXELS = range(8)


@pytest.fixture
def root(aws):
    """A root on the emulator's S3 with the features of a few images."""
    s3_objects._connection.cache_clear()
    bucket = aws.bucket()
    for seed in PIXELS:
        aws.s3.put_object(Bucket=bucket, Key=f"in/Kiwi/{seed}.jpg", Body=jpeg(seed))
    root = f"s3://{bucket}/root"
    command = [sys.executable, "streaming/ingest.py", "--images", f"s3://{bucket}/in", "--root", root, "--once"]
    subprocess.run(command, cwd=CHECKOUT, check=True)
    yield root
    s3_objects._connection.cache_clear()


@pytest.fixture
def cluster_settings(tmp_path):
    """What a cluster's spark-defaults.conf holds: its jars and how it reaches S3."""
    jar_path = ":".join(jars.paths(*jars.wanted(s3=True)))
    defaults = {"spark.master": "local[2]", "spark.driver.extraClassPath": jar_path, **session.s3a_settings(os.environ)}
    (tmp_path / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in defaults.items()))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {
        "SPARK_CONF_DIR": str(tmp_path),
        "JAVA_HOME": java.home(),
        "PATH": path,
        "PYSPARK_PYTHON": sys.executable,
    }


def test_a_scheduled_event_becomes_a_step_whose_command_publishes_a_version(
    aws, load_lambda, monkeypatch, root, cluster_settings
):
    emr = aws.client("emr")
    cluster = emr.run_job_flow(Name="fruits", Instances={"KeepJobFlowAliveWhenNoSteps": True}, ReleaseLabel="emr-7.0.0")
    for name, value in {"CLUSTER_ID": cluster["JobFlowId"], "FRUITPIPE_ROOT": root, "FRUITPIPE_HOME": str(CHECKOUT)}.items():
        monkeypatch.setenv(name, value)

    assert load_lambda("start_refit").handler({"components": 3}, None)["started"]

    (step,) = emr.list_steps(ClusterId=cluster["JobFlowId"])["Steps"]
    command = step["Config"]["Args"]
    assert command == ["spark-submit", f"{CHECKOUT}/batch/refit.py", "--root", root, "--components", "3"]
    done = subprocess.run(command, env=cluster_settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"v000001: {len(PIXELS)} rows, 1 labels; k = 3 keeps" in done.stdout
    assert pointer.find(root).version == "v000001"
    assert publication.load_reduction(root).k == 3
    assert objects.exists(f"{root}/triggers/refit.json")
