"""Java gives out under a stream: one line says so, and the next start just works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.errors import PySparkException

from fruitpipe.errors import PlatformFault
from fruitpipe.jobs.ingest import ingest
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta
from tests.pictures import fill

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.soak
def test_a_stream_whose_java_is_killed_says_so_in_one_line_and_the_next_start_goes_on(spark, tmp_path, root, capsys):
    images = tmp_path / "images"
    fill(images, 3)
    command = [sys.executable, "streaming/ingest.py", "--images", str(images), "--root", root, "--trigger-seconds", "0"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stream:
        assert stream.stdout.readline().startswith("batch 0: 3 featurised")
        os.kill(java_of(stream.pid), signal.SIGKILL)
        _, complaints = stream.communicate(timeout=60)
    assert stream.returncode == 1
    assert len(complaints.splitlines()) == 1, complaints
    assert complaints.startswith("error: Spark's Java process is gone")
    fill(images, 2, first=3)
    ingest(IngestSettings(images=str(images), root=root, once=True))
    assert capsys.readouterr().out.splitlines()[-1].startswith("ingest: 2 images featurised, 0 failed")
    assert delta.rows(spark, root).count() == 5


def java_of(pid):
    """The Java process that a Python process started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "java")


@pytest.mark.parametrize(("said", "expected"), [("java.lang.OutOfMemoryError: Java heap space", "Java ran out of memory")])
def test_what_java_says_of_its_memory_becomes_what_to_do(said, expected):
    with pytest.raises(PlatformFault, match=expected), session.explained():
        raise PySparkException(said)
