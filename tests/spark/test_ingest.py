"""The stream on real Spark: what comes under the prefix, or by manifest, is in the table once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from delta.tables import DeltaTable
from pyspark import cloudpickle
from pyspark.sql import SparkSession

from batch.reconcile import reconcile
from batch.refit import refit
from fruitpipe import events, featurise, lease, objects, tables
from fruitpipe.batches import Batches
from fruitpipe.eraser import Eraser
from fruitpipe.errors import LeaseLost, MissingRequirement, MixedExtractors, NoImages, PlatformFault, WrongModel, WrongRoot
from fruitpipe.extractor import Extractor, Model, fingerprint
from fruitpipe.images import decode
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings
from streaming.ingest import ingest, start
from streaming.ingest import run as run_query
from tests.pictures import fill, jpeg, png, put
from tests.soak.histories import Crash, dying


@pytest.fixture
def images(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def run(spark, images, root, capsys):  # noqa: ARG001 - the jobs find the session that is there
    """One run of the stream to its end; returns its last line."""

    def run(**settings):
        ingest(IngestSettings(images=str(images), root=root, once=True, **settings))
        return capsys.readouterr().out.splitlines()[-1]

    return run


@pytest.fixture
def catch_up(images, root, run):
    """Reconciliation and a run: what a scheduled safety net does."""

    def catch_up(**settings):
        known = {name: value for name, value in settings.items() if name in ReconcileSettings.model_fields}
        reconcile(ReconcileSettings(images=str(images), root=root, **known))
        return run(**settings)

    return catch_up


@pytest.fixture
def table(spark, root):
    """The rows, by the file's name."""

    def table():
        return {objects.name(row["path"]): row for row in tables.rows(spark, root).collect()}

    return table


DEADLY = b"what crashes a decoder"


class DeadlyFeaturiser(featurise.Featuriser):
    """Its process is killed by an image that ends in DEADLY, as by a fault in a native decoder."""

    def _look(self, reference):
        found = super()._look(reference)
        if found.body.endswith(DEADLY):
            os.kill(os.getpid(), signal.SIGKILL)
        return found


class LackingFeaturiser(featurise.Featuriser):
    """Its worker's Python lacks a module, as a packed environment may."""

    def __call__(self, batches):
        import a_module_that_only_the_driver_has  # noqa: F401

        return super().__call__(batches)


class RefusedFeaturiser(featurise.Featuriser):
    """The store gives it only images whose name does not begin with `refused`."""

    def _look(self, reference):
        refused = objects.name(reference.path).startswith("refused")
        return objects.Unreadable("AccessDenied: as the test has it") if refused else super()._look(reference)


@pytest.fixture
def featuriser(monkeypatch):
    """Has the stream use another featuriser."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers do not have the tests
    yield lambda other: monkeypatch.setattr(featurise, "Featuriser", other)
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def deadly(featuriser):
    featuriser(DeadlyFeaturiser)


def vector_of(body):
    return Extractor(Model.load(IngestSettings(images="x", root="x").model).body)(decode(body).pixels)


def write_manifest(root, *lines):
    body = "".join(f"{line}\n" for line in lines).encode()
    now = datetime.now(UTC)
    objects.write(events.manifest_uri(root, now, events.manifest_name("test", now, body)), body)


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
        write_manifest(root, *(events.to_line(events.ImageEvent("created", uri)) for uri in uris[first : first + 4]))
    ingest(IngestSettings(images=str(images), root=root, source="events", once=True, max_files_per_trigger=4))
    batches = [line for line in capsys.readouterr().out.splitlines() if line.startswith("batch")]
    assert len(batches) == 3
    assert len(table()) == 12
    write_manifest(root, *(events.to_line(events.ImageEvent("created", uri)) for uri in uris))
    assert run(source="events", max_files_per_trigger=1000) == "ingest: 0 images featurised, 0 failed, 12 unchanged"


def test_bad_files_are_rows_with_their_reasons_and_cost_their_neighbours_nothing(images, run, catch_up, table):
    good = fill(images, 13)
    put(images / "Kiwi" / "z.jpg", b"")
    put(images / "Kiwi" / "r.jpg", np.random.default_rng(0).bytes(4984))
    put(images / "Kiwi" / "h.jpg", jpeg(0)[:100])
    run()
    catch_up()  # Spark's listing never shows an empty file
    rows = table()
    assert len(rows) == 16
    reasons = {"z.jpg": "empty", "r.jpg": "not-an-image", "h.jpg": "truncated"}
    assert {name: rows[name]["error"] for name in reasons} == reasons
    for seed, uri in enumerate(good):
        np.testing.assert_array_equal(np.float32(rows[objects.name(uri)]["features"]), vector_of(jpeg(seed)))
    assert catch_up() == "ingest: 0 images featurised, 0 failed"


def test_an_image_over_the_byte_limit_is_never_read_and_says_the_limit(images, run, table):
    fill(images, 1)
    put(images / "Kiwi" / "big.jpg", jpeg(1, size=1000))
    run(max_image_bytes=20_000)
    row = table()["big.jpg"]
    assert (row["error"], row["sha256"], row["features"]) == ("too-large", None, None)
    assert row["error_message"].endswith("at most 20000 are read")


ODD_NAMES = [
    "a b.jpg",
    "a+b.jpg",
    "a%20b.jpg",
    "a%2Bb.JPG",
    "a#b?c&d='e\".jpeg",
    "pêche.jpg",
    "pe\u0302che.jpg",
    "🍓.PNG",
    "x:y.jpg",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_stored_as_its_owner_typed_it(images, run, catch_up, table, name):
    uri = put(images / "Apple Golden 2" / name, jpeg(0))
    run()
    assert {row["path"]: row["label"] for row in table().values()} == {uri: "Apple Golden 2"}
    assert catch_up() == "ingest: 0 images featurised, 0 failed"


def test_the_listing_and_an_event_give_an_image_the_same_identity(images, root, run, table):
    names = ("a b.jpg", "a+b.jpg", "a%20b.jpg", "a%2Bb.jpg")
    uris = [put(images / "Apple Golden 2" / name, jpeg(seed)) for seed, name in enumerate(names)]
    run()
    write_manifest(root, *(events.to_line(events.ImageEvent("created", uri)) for uri in uris))
    assert run(source="events") == "ingest: 0 images featurised, 0 failed, 4 unchanged"
    assert set(table()) == set(names)


def test_an_overwritten_image_gets_the_new_vector_and_a_touched_one_no_model_call(images, catch_up, run, table):
    fill(images, 1)
    run()
    put(images / "Kiwi" / "0000.jpg", jpeg(7))
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    np.testing.assert_array_equal(np.float32(table()["0000.jpg"]["features"]), vector_of(jpeg(7)))
    (images / "Kiwi" / "0000.jpg").touch()
    assert catch_up() == "ingest: 0 images featurised, 0 failed, 1 touched"
    np.testing.assert_array_equal(np.float32(table()["0000.jpg"]["features"]), vector_of(jpeg(7)))
    assert catch_up() == "ingest: 0 images featurised, 0 failed"


def test_a_good_image_that_turns_bad_loses_its_vector_and_gets_one_again_when_mended(images, catch_up, run, table):
    fill(images, 2)
    run()
    put(images / "Kiwi" / "0001.jpg", jpeg(1)[:500])
    catch_up()
    assert (table()["0001.jpg"]["error"], table()["0001.jpg"]["features"]) == ("truncated", None)
    put(images / "Kiwi" / "0001.jpg", jpeg(1))
    catch_up()
    assert (table()["0001.jpg"]["error"], len(table()["0001.jpg"]["features"])) == (None, 1280)


def test_a_removed_image_loses_its_row(images, catch_up, run, table):
    fill(images, 11)
    run()
    (images / "Kiwi" / "0003.jpg").unlink()
    assert catch_up() == "ingest: 0 images featurised, 0 failed, 1 gone"
    assert len(table()) == 10


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
    write_manifest(root, *(events.to_line(events.ImageEvent(kinds[line[:-3]], uri, sequencer=line[-2:])) for line in lines))
    if "Delete 03" in lines:
        Path(uri.removeprefix("file://")).unlink()
    run(source="events")
    wanted = {} if "Delete 03" in lines else {"x.jpg": hashlib.sha256(jpeg(9)).hexdigest()}
    assert {name: row["sha256"] for name, row in table().items()} == wanted


def test_a_line_that_is_no_event_is_kept_and_stops_nothing(images, root, run, table):
    (uri,) = fill(images, 1)
    write_manifest(root, "{nonsense", events.to_line(events.ImageEvent("created", uri)), '{"event": "created"}')
    run(source="events")
    assert len(table()) == 1
    (rejected,) = objects.list_all(f"{root}/rejected")
    assert objects.read(rejected.path) == b'{nonsense\n{"event": "created"}\n'


@pytest.mark.parametrize("lost", ["checkpoints/prefix/metadata", "checkpoints"])
def test_a_lost_checkpoint_costs_looks_and_no_model_call(images, root, run, table, lost):
    fill(images, 6)
    run()
    objects.delete_all(f"{root}/{lost}")
    fill(images, 2, first=6)
    assert run().startswith("ingest: 2 images featurised, 0 failed")
    assert len(table()) == 8


def test_switching_between_listing_and_events_and_back_loses_and_recomputes_nothing(images, root, run, catch_up, table):
    fill(images, 12)
    run()
    added = fill(images, 2, first=12)
    overwritten = put(images / "Kiwi" / "0000.jpg", jpeg(70))
    removed = f"file://{images}/Kiwi/0001.jpg"
    (images / "Kiwi" / "0001.jpg").unlink()
    said = [events.ImageEvent("created", uri) for uri in (*added, overwritten)] + [events.ImageEvent("removed", removed)]
    write_manifest(root, *map(events.to_line, said))
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


def test_rows_of_another_extractor_are_stale_and_recomputed(spark, images, root, run, catch_up, table):
    fill(images, 2)
    run()
    DeltaTable.forPath(spark, tables.features_uri(root)).update(set={"extractor": "'older'"})
    assert catch_up() == "ingest: 2 images featurised, 0 failed"
    assert {row["extractor"] for row in table().values()} == {fingerprint(Model.load(IngestSettings(images="x", root="x").model))}


def test_no_images_is_an_error_and_nothing_is_written(images, root, run):
    with pytest.raises(NoImages, match="there is nothing there"):
        run()
    put(images / "Kiwi" / "notes.txt", b"none")
    with pytest.raises(NoImages, match=r"no image matches \*\.\{jpg"):
        run()
    assert not objects.exists(root)


def test_a_linked_folder_is_listed_as_spark_lists_it(images, tmp_path, run, catch_up, table):
    fill(tmp_path / "elsewhere", 2)
    images.mkdir()
    (images / "Kiwi").symlink_to(tmp_path / "elsewhere" / "Kiwi")
    assert run().startswith("ingest: 2 images featurised")
    assert catch_up() == "ingest: 0 images featurised, 0 failed"
    assert len(table()) == 2


def test_a_batch_that_fails_while_the_stream_is_being_stopped_is_a_failure(images, root):
    fill(images, 1)
    settings = IngestSettings(images=str(images), root=root)

    def fails(_named, _stopping):
        os.kill(os.getpid(), signal.SIGTERM)
        raise LeaseLost("the lease was lost")

    spark = SparkSession.getActiveSession()
    batches = Batches(settings, fails, Eraser(spark, settings, lambda: None))
    objects.write(f"{root}/events/_exists", b"")
    with pytest.raises(LeaseLost):
        run_query(start(spark, settings, batches), batches)


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


def test_a_running_stream_refuses_another_goes_on_untouched_and_ends_after_the_batch_in_hand(images, root, tmp_path):
    fill(images, 3)
    command = [sys.executable, "streaming/ingest.py", "--images", str(images), "--root", root, "--trigger-seconds", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stream:
        said = [stream.stdout.readline()]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        fill(images, 1, first=3)
        said.append(stream.stdout.readline())
        stream.terminate()
        rest, complaints = stream.communicate(timeout=60)
    assert [line.partition(" in ")[0] for line in said] == ["batch 0: 3 featurised", "batch 1: 1 featurised"]
    assert (stream.returncode, complaints) == (0, "")
    assert rest.splitlines()[-1] == "ingest: 4 images featurised, 0 failed"
    assert (tmp_path / "root/checkpoints/prefix/commits/1").exists()
    assert (second.returncode, second.stdout) == (1, "")
    assert re.fullmatch(
        rf"error: .* is being written by .*, process {stream.pid} since 20.*; stop that stream first.*\n", second.stderr
    )


def test_a_stream_that_lost_its_lease_in_mid_batch_stops_before_it_writes(images, root, run, table, monkeypatch):
    fill(images, 2)
    check = lease._FolderLease.check

    def lost(held):
        objects.delete(f"{root}/writer.json")
        with lease.held(root):  # another stream, which finds the root free
            check(held)

    with monkeypatch.context() as patch:
        patch.setattr(lease._FolderLease, "check", lost)
        with pytest.raises(LeaseLost, match="was removed or replaced while this stream held it; start it again"):
            run()
    assert not list(objects.list_all(f"{root}/checkpoints/prefix/commits"))
    assert not table()
    assert run() == "ingest: 2 images featurised, 0 failed"


@pytest.mark.parametrize(
    ("when", "offsets", "commits", "rows", "next_run"),
    [
        ("before", 1, 0, 0, "ingest: 3 images featurised, 0 failed"),
        ("after", 1, 0, 3, "ingest: 0 images featurised, 0 failed, 3 unchanged"),
    ],
)
def test_a_batch_that_ended_around_its_commit_is_in_the_table_once(
    images, root, run, table, when, offsets, commits, rows, next_run
):
    """Offsets written and no commit; the table committed and the checkpoint not."""
    fill(images, 3)
    with dying(when), pytest.raises(Crash):
        run()
    in_checkpoint = [len(list(objects.list_all(f"{root}/checkpoints/prefix/{log}/0"))) for log in ("offsets", "commits")]
    assert (in_checkpoint, len(table())) == ([offsets, commits], rows)
    assert run() == next_run
    assert len(table()) == 3


def test_an_image_that_takes_the_worker_down_is_found_and_costs_its_neighbours_nothing(images, run, table, deadly):  # noqa: ARG001
    uris = fill(images, 9)
    put(images / "Kiwi" / "deadly.jpg", jpeg(5) + DEADLY)
    assert run() == "ingest: 9 images featurised, 1 failed"
    rows = table()
    assert rows["deadly.jpg"]["error"] == "crashes-decoder"
    for seed, uri in enumerate(uris):
        np.testing.assert_array_equal(np.float32(rows[objects.name(uri)]["features"]), vector_of(jpeg(seed)))


def test_a_worker_that_dies_of_every_image_stops_the_stream_and_writes_no_row(images, root, run, deadly):  # noqa: ARG001
    for seed in range(6):
        put(images / "Kiwi" / f"{seed}.jpg", jpeg(seed) + DEADLY)
    with pytest.raises(PlatformFault, match="all 6 images of this batch are crashes-decoder"):
        run()
    assert not list(objects.list_all(f"{root}/checkpoints/prefix/commits"))


def test_a_worker_that_lacks_a_module_stops_the_stream_with_its_name_and_no_image_is_blamed(images, run, table, featuriser):
    fill(images, 10)
    featuriser(LackingFeaturiser)
    with pytest.raises(MissingRequirement, match="has no module a_module_that_only_the_driver_has; install fruitpipe there"):
        run()
    assert not table()


def test_an_image_that_the_store_refuses_is_a_row_until_a_later_look_may_read_it(
    images, run, catch_up, table, featuriser, monkeypatch
):
    fill(images, 3)
    put(images / "Kiwi" / "refused.jpg", jpeg(9))
    featuriser(RefusedFeaturiser)
    assert run() == "ingest: 3 images featurised, 1 failed"
    assert (table()["refused.jpg"]["error"], table()["refused.jpg"]["features"]) == ("unreadable", None)
    monkeypatch.undo()
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    np.testing.assert_array_equal(np.float32(table()["refused.jpg"]["features"]), vector_of(jpeg(9)))


def test_a_store_that_refuses_every_image_stops_the_stream_and_writes_no_row(images, run, table, featuriser):
    for seed in range(6):
        put(images / "Kiwi" / f"refused-{seed}.jpg", jpeg(seed))
    featuriser(RefusedFeaturiser)
    with pytest.raises(PlatformFault, match=r"all 6 images of this batch are unreadable \(AccessDenied: as the test has it\)"):
        run()
    assert not table()


def test_two_spellings_of_one_name_are_two_images(images, run, table):
    for seed, name in enumerate(("p\u00eache.jpg", "pe\u0302che.jpg")):
        put(images / "Kiwi" / name, jpeg(seed))
    assert run() == "ingest: 2 images featurised, 0 failed"
    assert set(table()) == {"p\u00eache.jpg", "pe\u0302che.jpg"}


def test_an_image_that_was_too_large_is_looked_at_again_when_more_is_allowed(images, run, catch_up, table):
    put(images / "Kiwi" / "big.jpg", jpeg(1, size=1000))
    run(max_image_bytes=20_000)
    assert catch_up(max_image_bytes=20_000) == "ingest: 0 images featurised, 0 failed"
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    assert (table()["big.jpg"]["error"], len(table()["big.jpg"]["features"])) == (None, 1280)


def test_rows_outside_of_what_is_reconciled_are_not_counted_as_gone(images, root, run, table, capsys):
    fill(images, 3)
    fill(images, 2, label="Kiwi 2", first=3)
    put(images / "Kiwi" / "x.PNG", png(1))
    run()
    for narrower in ({"images": str(images / "Kiwi")}, {"images": str(images), "glob": "*.jpg"}):
        reconcile(ReconcileSettings(root=root, **narrower))
        assert capsys.readouterr().out.splitlines()[0] == "reconcile: 0 new, 0 changed, 0 gone, 0 stale, 0 to look at again"
    assert len(table()) == 6


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(spark, images, root, run, capsys):
    fill(images, 12)
    run()
    table = DeltaTable.forPath(spark, tables.features_uri(root))
    table.update("path LIKE '%0009.jpg'", {"extractor": "'older'"})
    table.update("path LIKE '%0010.jpg'", {"error": "'unreadable'", "etag": "NULL"})
    (images / "Kiwi" / "0000.jpg").unlink()
    (images / "Kiwi" / "0001.jpg").unlink()
    put(images / "Kiwi" / "0002.jpg", jpeg(99))
    fill(images, 3, first=20)
    before = {stat.path: stat.etag for stat in objects.list_all(root)}
    asked = ReconcileSettings(images=str(images), root=root, dry_run=True, images_per_second=0.01, euros_per_hour=0.9)
    reconcile(asked)
    assumed = "(at 0.01 images a second, 0.9 euros an hour and 0.0004 euros for 1,000 reads)"
    expected = f"reconcile: 6 images to featurise would take 10.0 minutes and 0.15 euros {assumed}"
    assert capsys.readouterr().out.splitlines() == [
        "reconcile: 3 new, 1 changed, 2 gone, 1 stale, 1 to look at again",
        "reconcile: 1 of the stale are of the extractor older",
        expected,
        "reconcile: 2 of 12 rows would go, more than a tenth: that would take --allow-removals",
        "reconcile: nothing was written, as --dry-run asks",
    ]
    assert {stat.path: stat.etag for stat in objects.list_all(root)} == before


def test_stale_rows_are_computed_after_fresh_ones_and_a_refit_waits_for_the_last(spark, images, root, run, table, capsys):
    fill(images, 3)
    run()
    DeltaTable.forPath(spark, tables.features_uri(root)).update(set={"extractor": "'older'"})
    fill(images, 1, first=3)
    reconcile(ReconcileSettings(images=str(images), root=root))
    assert run(stale_per_second=0) == "ingest: 1 images featurised, 0 failed"
    with pytest.raises(MixedExtractors, match=r"features of 2 extractors must not be mixed: .*older \(3 rows\)"):
        refit(RefitSettings(root=root, components=1))
    fill(images, 1, first=4)
    capsys.readouterr()
    ingest(IngestSettings(images=str(images), root=root, once=True))
    said = [line.split(" in ")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["batch 2: 1 featurised", "stale: 3 featurised", "ingest: 4 images featurised, 0 failed"]
    assert len({row["extractor"] for row in table().values()}) == 1
    refit(RefitSettings(root=root, components=1))


class ClosedFeaturiser(featurise.Featuriser):
    """A store that refuses the images whose names begin with `no`, or all of them while there is a file `.closed` beside them."""

    def _look(self, reference):
        path = Path(reference.path.removeprefix("file://"))
        if path.name.startswith("no") or (path.parent / ".closed").exists():
            return objects.Unreadable("AccessDenied")
        return super()._look(reference)


def test_one_refused_image_is_a_row_and_a_store_that_refuses_all_stops_the_stream(images, run, catch_up, table, featuriser):
    featuriser(ClosedFeaturiser)
    put(images / "Kiwi" / "no.jpg", jpeg(0))
    with pytest.raises(PlatformFault, match="all 1 images of this batch are unreadable"):
        run()  # nothing was ever readable here
    fill(images, 2)
    assert run() == "ingest: 2 images featurised, 1 failed"
    put(images / "Kiwi" / "no 2.jpg", jpeg(0))
    assert run() == "ingest: 0 images featurised, 1 failed"  # alone in its batch, but others can be read
    fill(images, 1, first=2)
    put(images / "Kiwi" / ".closed", b"")
    with pytest.raises(PlatformFault, match="all 1 images of this batch are unreadable"):
        run()
    (images / "Kiwi" / ".closed").unlink()
    assert run() == "ingest: 1 images featurised, 0 failed"
    assert {row["error"] for name, row in table().items() if not name.startswith("no")} == {None}
    for number in range(3, 7):  # more than enough to look alike, but known to be unreadable
        put(images / "Kiwi" / f"no {number}.jpg", jpeg(0))
        run()
    assert catch_up() == "ingest: 0 images featurised, 6 failed"


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
