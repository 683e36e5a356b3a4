"""What stops a stream, or keeps it from starting, and that nothing is lost or half written by it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fruitpipe import objects
from fruitpipe.erasure.execution import Eraser
from fruitpipe.errors import LeaseLost, NoImages, WrongModel, WrongRoot
from fruitpipe.ingest import query
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.root import lease, manifests
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta
from tests.commands import heard
from tests.manifests import write_manifest
from tests.pictures import fill, put
from tests.soak.histories import Crash, dying


def test_a_running_stream_refuses_another_goes_on_untouched_carries_an_erasure_out_and_ends_after_the_batch_in_progress(
    images, root, tmp_path, table
):
    uris = fill(images, 3)
    command = [sys.executable, "streaming/ingest.py", "--images", str(images), "--root", root, "--trigger-seconds", "0"]
    command += ["--erasure-grace-hours", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stream:
        lines = iter(stream.stdout)
        said = [next(lines)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        fill(images, 1, first=3)
        said.append(next(lines))
        assert heard(f"fruitpipe erase --root {root} {uris[0]}").code == 0
        assert any("no trace found" in line for line in lines)
        fill(images, 1, first=4)
        assert any("1 featurised" in line for line in lines)
        stream.terminate()
        rest, complaints = stream.communicate(timeout=60)
    assert [line.partition(" in ")[0] for line in said] == ["batch 0: 3 featurised", "batch 1: 1 featurised"]
    assert (stream.returncode, complaints) == (0, "")
    assert rest.splitlines()[-1] == "ingest: 5 images featurised, 0 failed"
    assert (tmp_path / "root/checkpoints/ingest/commits/1").exists()
    assert set(table()) == {f"000{number}.jpg" for number in (1, 2, 3, 4)}
    assert (second.returncode, second.stdout) == (1, "")
    assert re.fullmatch(
        rf"error: .* is being written by .*, process {stream.pid} since 20.*; stop that stream first.*\n", second.stderr
    )


@pytest.mark.parametrize("in_mid_batch", [True, False])
def test_a_stream_that_lost_its_lease_stops_before_it_writes(spark, images, root, run, monkeypatch, in_mid_batch):
    fill(images, 2)
    if in_mid_batch:  # without a table, the stream would ask for its lease before it makes one, and end there
        delta.create(spark, root)
    check = lease._FolderLease.check

    def lost(held):
        objects.delete(f"{root}/writer.json")
        with lease.held(root):  # another stream, which finds the root free
            check(held)

    with monkeypatch.context() as patch:
        patch.setattr(lease._FolderLease, "check", lost)
        with pytest.raises(LeaseLost, match="was removed or replaced while this stream held it; start it again"):
            run()
    assert not list(objects.list_all(f"{root}/checkpoints/ingest/commits"))
    assert objects.exists(f"{root}/features/_delta_log") == in_mid_batch
    assert not in_mid_batch or not delta.rows(spark, root).count()
    assert run() == "ingest: 2 images featurised, 0 failed"


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ("before", (0, "ingest: 3 images featurised, 0 failed")),
        ("after", (3, "ingest: 0 images featurised, 0 failed, 3 unchanged")),
    ],
)
def test_a_batch_that_ended_around_its_commit_is_in_the_table_once(images, root, run, table, when, left):
    """Offsets written and no commit; the table committed and the checkpoint not."""
    fill(images, 3)
    with dying(when), pytest.raises(Crash):
        run()
    in_checkpoint = [len(list(objects.list_all(f"{root}/checkpoints/ingest/{log}/0"))) for log in ("offsets", "commits")]
    assert in_checkpoint == [1, 0]
    assert (len(table()), run()) == left
    assert len(table()) == 3


def test_a_batch_that_fails_while_the_stream_is_being_stopped_is_a_failure(spark, images, root):
    (uri,) = fill(images, 1)
    settings = IngestSettings(images=str(images), root=root)

    def fails(_named, _stopping):
        os.kill(os.getpid(), signal.SIGTERM)
        raise LeaseLost("the lease was lost")

    batches = Batches(settings, fails, Eraser(spark, settings, lambda: None))
    write_manifest(root, manifests.to_line(manifests.ImageEvent("created", uri)))
    with pytest.raises(LeaseLost):
        query.run(query.start(spark, settings, batches), batches, SimpleNamespace(step=lambda _: None))


def test_no_images_is_an_error_and_nothing_is_written(images, root, run):
    with pytest.raises(NoImages, match="there is nothing there"):
        run()
    put(images / "Kiwi" / "notes.txt", b"none")
    with pytest.raises(NoImages, match=r"no image matches \*\.\{jpg"):
        run()
    assert not objects.exists(root)


def test_a_root_with_other_peoples_files_is_refused(tmp_path, images, run):
    fill(images, 1)
    put(tmp_path / "root" / "notes.txt", b"mine")
    with pytest.raises(WrongRoot, match=r"holds notes\.txt"):
        run()
    assert [entry.name for entry in (tmp_path / "root").iterdir()] == ["notes.txt"]


def test_a_model_file_with_one_changed_byte_stops_the_job_before_it_writes(tmp_path, images, root, run):
    fill(images, 1)
    body = bytearray(Path(IngestSettings(images="x", root="x").model).read_bytes())
    body[1_000_000] ^= 1
    with pytest.raises(WrongModel, match="model"):
        run(model=put(tmp_path / "damaged.tflite", bytes(body)))
    assert not objects.exists(root)


@pytest.mark.parametrize("left", ["_staged_commits/", ".00000000000000000000.json.4d165deb.tmp"])
def test_a_stream_that_was_killed_while_it_made_its_table_makes_it_when_it_starts_again(images, root, run, table, left):
    fill(images, 2)
    log = Path(root.removeprefix("file://"), "features", "_delta_log", left)
    log.mkdir(parents=True) if left.endswith("/") else put(log, b"half")
    assert run() == "ingest: 2 images featurised, 0 failed"
    assert len(table()) == 2
