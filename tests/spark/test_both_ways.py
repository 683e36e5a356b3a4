"""A run by Spark and one by processes of its own: whatever goes wrong, they end alike, say the same and leave the same rows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.errors import NotFound
from fruitpipe.root import lease
from fruitpipe.table.snapshot import Snapshot
from tests import featurisers
from tests.commands import Ended, heard
from tests.featurisers import DEADLY, DeadlyFeaturiser, RefusedFeaturiser
from tests.oracle import vector_of
from tests.pictures import fill, jpeg, put

CHECKOUT = Path(__file__).parents[2]
WAYS = {"by Spark": 0, "by processes": 5000}
# A file system that is nearly full when a run starts, and has room again for the next.
ON_A_SMALL_DISK = (
    'mount -t tmpfs -o size=20m none "$1" && head -c 20600000 /dev/zero > "$1/ballast" && exec "$0" -c "$3" "$1" "$2" "$4"'
)
FULL_THEN_ROOM = """
import json, os, sys
from tests.commands import heard

disk, images, few = sys.argv[1:]
run = f"fruitpipe ingest --images {images} --root {disk}/root --once --images-without-spark {few}"
full = heard(run)
os.remove(f"{disk}/ballast")
print(json.dumps([vars(full), vars(heard(run))]))
"""


@pytest.fixture
def featuriser(monkeypatch):
    """Has runs use another featuriser."""
    with featurisers.used(monkeypatch) as use:
        yield use


@pytest.fixture
def outcome(images, root, spark):  # noqa: ARG001
    """How a run in one of the ways ends, what it says but for the time, and the table's rows by name but for theirs."""

    def outcome(way):
        objects.delete_all(root)
        ended = heard(f"fruitpipe ingest --images {images} --root {root} --once --images-without-spark {WAYS[way]}")
        said = re.sub(r"in [\d.]+ s \([\d,]+ images/s\)", "in some time", ended.stdout)
        try:
            found = Snapshot(root).query("SELECT * FROM features")
        except NotFound:
            found = []
        rows = {objects.name(row["path"]): {key: value for key, value in row.items() if key != "ingested_at"} for row in found}
        return Ended(ended.code, said, ended.stderr), rows

    return outcome


def sound_and_bad_pictures(images, _featuriser):
    fill(images, 70)
    fill(images, 70, "Lemon", first=70)
    put(images / "Kiwi" / "z.jpg", b"")
    put(images / "Kiwi" / "r.jpg", np.random.default_rng(0).bytes(4984))
    put(images / "Kiwi" / "h.jpg", jpeg(0)[:100])
    return 0, "ingest: 140 images featurised, 3 failed", ""


def a_worker_that_dies(images, featuriser):
    featuriser(DeadlyFeaturiser)
    fill(images, 9)
    put(images / "Kiwi" / "deadly.jpg", jpeg(5) + DEADLY)
    return 0, "ingest: 9 images featurised, 1 failed", ""


def a_store_that_refuses_all(images, featuriser):
    featuriser(RefusedFeaturiser)
    fill(images, 3)
    return 1, "", "all 3 images of this batch are unreadable"


def a_folder_with_the_name_of_a_picture(images, _featuriser):
    fill(images, 2)
    put(images / "Kiwi" / "folder.jpg" / "0.jpg", jpeg(7))
    return 0, "ingest: 3 images featurised, 0 failed", ""


@pytest.mark.parametrize(
    "trouble", [sound_and_bad_pictures, a_worker_that_dies, a_store_that_refuses_all, a_folder_with_the_name_of_a_picture]
)
def test_both_ways_end_alike_say_the_same_and_leave_the_same_rows(images, featuriser, outcome, trouble):
    code, last, complaint = trouble(images, featuriser)
    found = {way: outcome(way) for way in WAYS}
    assert found["by Spark"] == found["by processes"]
    ended, rows = found["by processes"]
    assert (ended.code, ended.stdout.splitlines()[-1:]) == (code, [last] if last else [])
    assert complaint in ended.stderr
    if "0003.jpg" in rows:
        np.testing.assert_array_equal(np.float32(rows["0003.jpg"]["features"]), vector_of(jpeg(3)))


def test_a_second_run_is_refused_alike_while_the_first_goes_on(images, root, spark):  # noqa: ARG001
    fill(images, 2)
    run = f"fruitpipe ingest --images {images} --root {root} --once --images-without-spark"
    with lease.held(root):
        ended = {way: heard(f"{run} {few}") for way, few in WAYS.items()}
    assert ended["by Spark"] == ended["by processes"]
    assert ended["by processes"].code == 1
    assert "stop that stream first" in ended["by processes"].stderr


def can_mount():
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux" or not can_mount(), reason="needs user-namespaces: a small disk is mounted in one")
@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_is_one_line_and_with_room_the_next_start_just_works(tmp_path, way):
    fill(tmp_path / "images", 150)
    (tmp_path / "disk").mkdir()
    command = ["unshare", "-rm", "bash", "-c", ON_A_SMALL_DISK, sys.executable, tmp_path / "disk", tmp_path / "images"]
    command += [FULL_THEN_ROOM, str(WAYS[way])]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    full, with_room = (Ended(**one) for one in json.loads(done.stdout.splitlines()[-1]))
    assert full.code == 1
    (complaint,) = full.stderr.splitlines()
    assert complaint.startswith("error: ")
    assert "No space left on device" in complaint
    assert (with_room.code, with_room.stderr) == (0, "")
    assert with_room.stdout.splitlines()[-1].startswith("ingest: 150 images featurised, 0 failed")
