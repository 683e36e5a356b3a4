"""The stream on real Spark: what comes under the prefix, or by manifest, is in the table once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fruitpipe import objects
from fruitpipe.ingest import micro_batch
from fruitpipe.jobs.ingest import ingest
from fruitpipe.root import manifests
from fruitpipe.runtime import bar_columns, progress
from fruitpipe.settings import IngestSettings
from tests.manifests import write_manifest
from tests.oracle import vector_of
from tests.pictures import fill, jpeg, put


def test_each_image_becomes_one_row_with_label_size_and_the_extractors_vector(images, run, table):
    (uri,) = fill(images, 1)
    assert run() == "ingest: 1 images featurised, 0 failed"
    (row,) = table().values()
    assert (row["path"], row["label"], row["width"], row["height"], row["error"]) == (uri, "Kiwi", 100, 100, None)
    np.testing.assert_allclose(row["features"], vector_of(jpeg(0)), atol=1e-6)


def test_a_second_run_computes_only_what_was_added(images, run, table):
    fill(images, 5)
    run()
    fill(images, 3, first=5)
    assert run() == "ingest: 3 images featurised, 0 failed"
    assert len(table()) == 8
    assert run() == "ingest: 0 images featurised, 0 failed"


def test_batches_are_bounded_and_none_is_lost_between_them(images, run, table):
    fill(images, 7)
    assert run(max_files_per_trigger=2) == "ingest: 7 images featurised, 0 failed"
    assert len(table()) == 7


def test_a_batch_is_bounded_by_the_events_in_its_manifests_and_not_by_their_number(images, root, run, table, capsys):
    uris = fill(images, 12)
    for first in range(0, 12, 4):
        write_manifest(root, *(manifests.to_line(manifests.ImageEvent("created", uri)) for uri in uris[first : first + 4]))
    ingest(IngestSettings(images=str(images), root=root, source="events", once=True, max_files_per_trigger=4))
    batches = [line for line in capsys.readouterr().out.splitlines() if line.startswith("batch")]
    assert len(batches) == 3
    assert len(table()) == 12
    write_manifest(root, *(manifests.to_line(manifests.ImageEvent("created", uri)) for uri in uris))
    assert run(source="events", max_files_per_trigger=1000) == "ingest: 0 images featurised, 0 failed, 12 unchanged"


def test_an_old_file_is_read_whatever_its_age(images, run, table):
    fill(images, 3)
    run()
    for first, days in ((3, 10), (4, 40)):
        (uri,) = fill(images, 1, first=first)
        old = time.time() - days * 86400
        os.utime(uri.removeprefix("file://"), (old, old))
        run()
    assert len(table()) == 5


@pytest.mark.parametrize("lines", [("Put 01", "Delete 03", "Put 02"), ("Put 01",) * 5, ("Put 02", "Put 01")])
def test_events_of_one_image_in_any_order_end_in_what_the_store_holds(images, root, run, table, lines):
    fill(images, 1)
    uri = put(images / "Kiwi" / "x.jpg", jpeg(9))
    kinds = {"Put": "created", "Delete": "removed"}
    write_manifest(root, *(manifests.to_line(manifests.ImageEvent(kinds[line[:-3]], uri, sequencer=line[-2:])) for line in lines))
    if "Delete 03" in lines:
        Path(uri.removeprefix("file://")).unlink()
    run(source="events")
    wanted = {} if "Delete 03" in lines else {"x.jpg": hashlib.sha256(jpeg(9)).hexdigest()}
    assert {name: row["sha256"] for name, row in table().items()} == wanted


def test_a_line_that_is_no_event_is_kept_and_stops_nothing(images, root, run, table):
    (uri,) = fill(images, 1)
    write_manifest(root, "{nonsense", manifests.to_line(manifests.ImageEvent("created", uri)), '{"event": "created"}')
    run(source="events")
    assert len(table()) == 1
    (rejected,) = objects.list_all(f"{root}/rejected")
    assert objects.read(rejected.path) == b'{nonsense\n{"event": "created"}\n'


@pytest.mark.parametrize("lost", ["checkpoints/ingest/metadata", "checkpoints"])
def test_a_lost_checkpoint_costs_looks_and_no_model_call(images, root, run, table, lost):
    fill(images, 6)
    run()
    objects.delete_all(f"{root}/{lost}")
    fill(images, 2, first=6)
    assert run().startswith("ingest: 2 images featurised, 0 failed")
    assert len(table()) == 8


def test_an_image_that_was_overwritten_is_found_by_the_next_listing(images, run, table):
    fill(images, 2)
    run()
    put(images / "Kiwi" / "0001.jpg", jpeg(7))
    assert run() == "ingest: 1 images featurised, 0 failed"
    np.testing.assert_array_equal(np.float32(table()["0001.jpg"]["features"]), vector_of(jpeg(7)))
    assert run() == "ingest: 0 images featurised, 0 failed"


def test_switching_between_listing_and_events_and_back_loses_and_recomputes_nothing(images, root, run, catch_up, table):
    fill(images, 12)
    run()
    added = fill(images, 2, first=12)
    overwritten = put(images / "Kiwi" / "0000.jpg", jpeg(70))
    removed = f"file://{images}/Kiwi/0001.jpg"
    (images / "Kiwi" / "0001.jpg").unlink()
    said = [manifests.ImageEvent("created", uri) for uri in (*added, overwritten)] + [manifests.ImageEvent("removed", removed)]
    write_manifest(root, *map(manifests.to_line, said))
    fill(images, 1, first=20)  # uploaded before there were notifications
    assert run(source="events") == "ingest: 3 images featurised, 0 failed, 1 gone"
    assert catch_up(source="events") == "ingest: 1 images featurised, 0 failed"
    computed = {name: row["ingested_at"] for name, row in table().items()}
    assert set(computed) == {path.name for path in (images / "Kiwi").iterdir()}

    fill(images, 1, first=30)
    assert run().startswith("ingest: 1 images featurised, 0 failed")
    assert run(source="events") == "ingest: 0 images featurised, 0 failed"
    assert {name: row["ingested_at"] for name, row in table().items() if name != "0030.jpg"} == computed
    assert set(table()) - set(computed) == {"0030.jpg"}


def test_each_commit_can_be_a_json_object_with_errors_lag_and_phases(images, root, run, capsys):
    fill(images, 3)
    put(images / "Kiwi" / "text.jpg", b"no picture")
    for seed in range(3):
        os.utime(images / "Kiwi" / f"{seed:04d}.jpg", (1, 1))
    ingest(IngestSettings(images=str(images), root=root, once=True, log_json=True))
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert (line["images"], line["outcomes"], line["errors"]) == (4, {"failed": 1, "featurised": 3}, {"not-an-image": 1})
    assert line["lag_seconds"] > 1e9  # since the second after 1970
    assert line["seconds_by_phase"].keys() == {"featurise", "commit"}
    assert run() == "ingest: 0 images featurised, 0 failed"


def test_an_image_that_goes_between_listing_and_reading_is_none_of_the_batchs(images, run, table, monkeypatch):
    uris = fill(images, 4)
    named_images = micro_batch.named_images

    def after_one_is_gone(batch):
        Path(uris[2].removeprefix("file://")).unlink()
        return named_images(batch)

    monkeypatch.setattr(micro_batch, "named_images", after_one_is_gone)
    assert run() == "ingest: 3 images featurised, 0 failed, 1 gone"
    assert {row["path"] for row in table().values()} == {*uris} - {uris[2]}


def test_a_bar_is_told_of_each_image_while_its_chunk_is_computed(images, run, table, monkeypatch):
    fill(images, 9)
    put(images / "Kiwi" / "text.jpg", b"no picture")
    terminal = Console(file=io.StringIO(), force_terminal=True, width=160)
    monkeypatch.setattr(bar_columns, "Console", lambda **_: terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told, advance = [], progress.Bar.advance

    def counted_before(bar, images, failed=0):
        told.append((bar._counts[0].counted(), (images, failed)))
        advance(bar, images, failed)

    monkeypatch.setattr(progress.Bar, "advance", counted_before)
    assert run() == "ingest: 9 images featurised, 1 failed"
    assert told == [((10, 1), (10, 1))]
    assert "10/10" in terminal.file.getvalue()
    assert len(table()) == 10
