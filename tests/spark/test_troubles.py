"""The machine under a stream gives out, by a full disk or a killed Java: one line says so, and the next start just works."""

from __future__ import annotations

import json
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
from tests.commands import Ended
from tests.pictures import fill

CHECKOUT = Path(__file__).parents[2]
# A file system of its own that is nearly full when the first run starts, and has room again for the second.
ON_A_SMALL_DISK = (
    'mount -t tmpfs -o size=20m none "$1" && head -c 20600000 /dev/zero > "$1/ballast" && exec "$0" -c "$3" "$1" "$2"'
)
FULL_THEN_ROOM = """
import json, os, sys
from tests.commands import heard

disk, images = sys.argv[1:]
run = f"fruitpipe ingest --images {images} --root {disk}/root --once"
full = heard(run)
os.remove(f"{disk}/ballast")
print(json.dumps([vars(full), vars(heard(run))]))
"""


def can_mount():
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux" or not can_mount(), reason="needs user-namespaces: a small disk is mounted in one")
def test_a_full_disk_is_one_line_and_with_room_the_next_start_just_works(tmp_path):
    fill(tmp_path / "images", 150)
    (tmp_path / "disk").mkdir()
    command = ["unshare", "-rm", "bash", "-c", ON_A_SMALL_DISK, sys.executable, tmp_path / "disk", tmp_path / "images"]
    done = subprocess.run([*command, FULL_THEN_ROOM], cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    full, with_room = (Ended(**one) for one in json.loads(done.stdout.splitlines()[-1]))
    assert full.code == 1
    (complaint,) = full.stderr.splitlines()
    assert complaint.startswith("error: ")
    assert "No space left on device" in complaint
    assert (with_room.code, with_room.stderr) == (0, "")
    assert with_room.stdout.splitlines()[-1].startswith("ingest: 150 images featurised, 0 failed")


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
