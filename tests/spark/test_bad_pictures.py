"""Images that cannot become features, and workers and stores that cannot be used: what is a row, and what stops the stream."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pyspark import TaskContext

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, MissingRequirement, PlatformFault
from fruitpipe.extractor import featurise
from fruitpipe.ingest import bisection, upsert
from fruitpipe.jobs.ingest import ingest
from fruitpipe.objects import local
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta, file_commits, upkeep
from tests import featurisers
from tests.featurisers import DEADLY, SLOW, DeadlyFeaturiser
from tests.oracle import vector_of
from tests.pictures import fill, jpeg, put


class SlowFeaturiser(featurise.Featuriser):
    """Its decoder does not come back from an image that ends in SLOW. A task's second attempt stands still before its first."""

    def _found(self, *given):
        if TaskContext.get().attemptNumber():
            time.sleep(60)
        return super()._found(*given)

    def _decoded(self, body):
        if body.endswith(SLOW) and not TaskContext.get().attemptNumber():
            time.sleep(600)
        return super()._decoded(body)


class LackingFeaturiser(featurise.Featuriser):
    """Its worker's Python lacks a module, as a packed environment may."""

    def __call__(self, batches):
        import a_module_that_only_the_driver_has  # noqa: F401

        return super().__call__(batches)


class PartlyRefusedFeaturiser(featurise.Featuriser):
    """The store gives it only images whose name does not begin with `refused`."""

    def _look(self, reference):
        refused = objects.name(reference.path).startswith("refused")
        return objects.Unreadable("AccessDenied: as the test has it") if refused else super()._look(reference)


class RefusedAndDeadlyFeaturiser(PartlyRefusedFeaturiser, DeadlyFeaturiser):
    """Both at once."""


class ClosedFeaturiser(featurise.Featuriser):
    """A store that refuses the images whose names begin with `no`, or all of them while there is a file `.closed` beside them."""

    def _look(self, reference):
        path = Path(reference.path.removeprefix("file://"))
        if path.name.startswith("no") or (path.parent / ".closed").exists():
            return objects.Unreadable("AccessDenied")
        return super()._look(reference)


class ShutFeaturiser(featurise.Featuriser):
    """A store that refuses all of a folder while there is a file `.shut` in it."""

    def _look(self, reference):
        path = Path(reference.path.removeprefix("file://"))
        return objects.Unreadable("AccessDenied") if (path.parent / ".shut").exists() else super()._look(reference)


@pytest.fixture
def featuriser(monkeypatch):
    """Has the stream use another featuriser."""
    with featurisers.used(monkeypatch, sys.modules[__name__]) as use:
        yield use


@pytest.fixture
def no_deletes(monkeypatch):
    """The store refuses to delete a data file, as a bucket's policy may."""
    delete = local.delete

    def refuse(uri):
        if uri.endswith(".parquet"):
            raise AccessDenied(f"{uri}: as the test has it")
        delete(uri)

    monkeypatch.setattr(local, "delete", refuse)


@pytest.fixture
def deadly(featuriser):
    featuriser(DeadlyFeaturiser)


def test_bad_files_are_rows_with_their_reasons_and_cost_their_neighbours_nothing(images, run, catch_up, table):
    good = fill(images, 13)
    put(images / "Kiwi" / "z.jpg", b"")
    put(images / "Kiwi" / "r.jpg", np.random.default_rng(0).bytes(4984))
    put(images / "Kiwi" / "h.jpg", jpeg(0)[:100])
    run()
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


def test_an_image_that_was_too_large_is_looked_at_again_when_more_is_allowed(images, run, catch_up, table):
    put(images / "Kiwi" / "big.jpg", jpeg(1, size=1000))
    run(max_image_bytes=20_000)
    assert catch_up(max_image_bytes=20_000) == "ingest: 0 images featurised, 0 failed"
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    assert (table()["big.jpg"]["error"], len(table()["big.jpg"]["features"])) == (None, 1280)


def test_a_good_image_that_turns_bad_loses_its_vector_and_gets_one_again_when_mended(images, catch_up, run, table):
    fill(images, 2)
    run()
    put(images / "Kiwi" / "0001.jpg", jpeg(1)[:500])
    catch_up()
    assert (table()["0001.jpg"]["error"], table()["0001.jpg"]["features"]) == ("truncated", None)
    put(images / "Kiwi" / "0001.jpg", jpeg(1))
    catch_up()
    assert (table()["0001.jpg"]["error"], len(table()["0001.jpg"]["features"])) == (None, 1280)


def test_an_image_that_takes_the_worker_down_is_found_and_costs_its_neighbours_nothing(images, run, table, deadly):  # noqa: ARG001
    uris = fill(images, 9)
    put(images / "Kiwi" / "deadly.jpg", jpeg(5) + DEADLY)
    assert run() == "ingest: 9 images featurised, 1 failed"
    rows = table()
    assert rows["deadly.jpg"]["error"] == "crashes-decoder"
    for seed, uri in enumerate(uris):
        np.testing.assert_array_equal(np.float32(rows[objects.name(uri)]["features"]), vector_of(jpeg(seed)))


def test_an_image_that_keeps_its_decoder_busy_for_too_long_is_a_row_and_costs_its_neighbours_nothing(
    images, run, catch_up, table, featuriser
):
    featuriser(SlowFeaturiser)
    uris = fill(images, 9)
    put(images / "Kiwi" / "slow \N{SNOWMAN}.jpg", jpeg(5) + SLOW)
    assert run(max_image_seconds=0.5) == "ingest: 9 images featurised, 1 failed"
    rows = table()
    assert rows["slow \N{SNOWMAN}.jpg"]["error"] == "too-slow"
    assert "longer than 0.5 s" in rows["slow \N{SNOWMAN}.jpg"]["error_message"]
    for seed, uri in enumerate(uris):
        np.testing.assert_array_equal(np.float32(rows[objects.name(uri)]["features"]), vector_of(jpeg(seed)))
    assert catch_up(max_image_seconds=0.5) == "ingest: 0 images featurised, 0 failed"


@pytest.mark.soak
def test_a_worker_that_dies_with_most_of_its_references_unread_is_found_out_too(images, run, table, deadly):  # noqa: ARG001
    """What waits in its connection is lost with it, which Java may be told in other words than a plain end."""
    put(images / "Kiwi" / "0000 deadly.jpg", DEADLY)
    named = [manifests.ImageEvent("created", f"file://{images}/Kiwi/{'x' * 200}{number:05}.jpg") for number in range(6000)]
    named.insert(0, manifests.ImageEvent("created", f"file://{images}/Kiwi/0000 deadly.jpg"))
    put(images / "Kiwi" / "good.jpg", jpeg(1))
    for body in manifests.manifests(named, 10_000):
        now = datetime.now(UTC)
        objects.write(
            manifests.manifest_uri(f"file://{images.parent}/root", now, manifests.manifest_name("test", now, body)), body
        )
    run()
    assert {name: row["error"] for name, row in table().items()} == {"0000 deadly.jpg": "crashes-decoder", "good.jpg": None}


@pytest.mark.soak
def test_a_worker_that_dies_of_every_image_stops_the_stream_and_writes_no_row(images, root, run, deadly):  # noqa: ARG001
    for seed in range(5):  # as many as are never all to blame; each costs some workers their lives
        put(images / "Kiwi" / f"{seed}.jpg", jpeg(seed) + DEADLY)
    with pytest.raises(PlatformFault, match="all 5 images of this batch are crashes-decoder"):
        run()
    assert not list(objects.list_all(f"{root}/checkpoints/ingest/commits"))


@pytest.mark.usefixtures("deadly")
def test_a_batch_that_fails_does_not_wait_until_another_chunk_has_found_its_deadly_images(images, run, table, monkeypatch):
    """Its two chunks are in progress together: of a good image that cannot be committed, and of 256 that each kill a worker."""

    def refuse(*_):
        raise AccessDenied("as the test has it")

    monkeypatch.setattr(file_commits, "add", refuse)
    monkeypatch.setattr(upsert, "tapered", lambda named, _: [by_name(named)[:1], by_name(named)[1:]])
    put(images / "A" / "good.jpg", jpeg(1))
    for number in range(256):
        put(images / "B" / f"{number:03}.jpg", DEADLY)
    bisected, bisect = [], bisection.Bisection._bisect

    def bisect_and_count(self, *given, **named):
        bisected.append(self.cancelled())
        return bisect(self, *given, **named)

    monkeypatch.setattr(bisection.Bisection, "_bisect", bisect_and_count)
    with pytest.raises(AccessDenied, match="as the test has it"):
        run()
    assert bisected.count(True) <= 1, "what was in progress when the batch failed, and no more"
    assert len(bisected) < 256, "it was bisected to the end"
    assert not table()


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
    featuriser(PartlyRefusedFeaturiser)
    assert run() == "ingest: 3 images featurised, 1 failed"
    assert (table()["refused.jpg"]["error"], table()["refused.jpg"]["features"]) == ("unreadable", None)
    monkeypatch.undo()
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    np.testing.assert_array_equal(np.float32(table()["refused.jpg"]["features"]), vector_of(jpeg(9)))


def test_a_store_that_refuses_every_image_stops_the_stream_and_writes_no_row(images, run, table, featuriser):
    for seed in range(6):
        put(images / "Kiwi" / f"refused-{seed}.jpg", jpeg(seed))
    featuriser(PartlyRefusedFeaturiser)
    with pytest.raises(PlatformFault, match=r"all 6 images of this batch are unreadable \(AccessDenied: as the test has it\)"):
        run()
    assert not table()


def test_one_refused_image_is_a_row_and_a_store_that_refuses_all_stops_the_stream(images, run, catch_up, table, featuriser):
    featuriser(ClosedFeaturiser)
    put(images / "Kiwi" / "no.jpg", jpeg(0))
    with pytest.raises(PlatformFault, match="all 1 images of this batch are unreadable"):
        run()  # nothing was ever readable here
    fill(images, 2)
    assert run() == "ingest: 2 images featurised, 1 failed"
    put(images / "Kiwi" / "no 2.jpg", jpeg(0))
    assert run() == "ingest: 0 images featurised, 1 failed, 1 unchanged"  # alone in their batch, but others can be read
    fill(images, 1, first=2)
    put(images / "Kiwi" / ".closed", b"")
    with pytest.raises(PlatformFault, match="all 3 images of this batch are unreadable"):
        run()
    (images / "Kiwi" / ".closed").unlink()
    assert run() == "ingest: 1 images featurised, 0 failed, 2 unchanged"  # at each start the refused ones are looked at again
    assert {row["error"] for name, row in table().items() if not name.startswith("no")} == {None}
    for number in range(3, 7):  # more than enough to look alike, but known to be unreadable
        put(images / "Kiwi" / f"no {number}.jpg", jpeg(0))
        run()
    assert catch_up() == "ingest: 0 images featurised, 0 failed, 6 unchanged"


def test_a_folder_that_the_store_refuses_whole_keeps_its_features_and_stops_nobody(images, run, catch_up, table, featuriser):
    featuriser(ShutFeaturiser)
    fill(images, 2)
    put(images / "Fig" / "old.jpg", jpeg(7))
    run()
    before = table()["old.jpg"]["features"]
    put(images / "Fig" / ".shut", b"")
    put(images / "Fig" / "old.jpg", jpeg(8))
    for number in range(6):
        put(images / "Fig" / f"new {number}.jpg", jpeg(number))
    assert run() == "ingest: 0 images featurised, 6 failed, 1 kept"
    assert table()["old.jpg"]["features"] == before
    assert {row["error"] for name, row in table().items() if name.startswith("new")} == {"unreadable"}
    (images / "Fig" / ".shut").unlink()
    assert catch_up() == "ingest: 7 images featurised, 0 failed"
    np.testing.assert_array_equal(np.float32(table()["old.jpg"]["features"]), vector_of(jpeg(8)))


@pytest.mark.usefixtures("no_deletes")
def test_a_merged_file_that_cannot_be_deleted_stays_until_the_vacuum_and_the_stream_goes_on(
    spark, images, root, run, table, capsys
):
    fill(images, 2)
    run()
    before = data_files(root)
    put(images / "Kiwi" / "0001.jpg", jpeg(7))
    ingest(IngestSettings(images=str(images), root=root, once=True))
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "ingest: 1 images featurised, 0 failed"
    np.testing.assert_array_equal(np.float32(table()["0001.jpg"]["features"]), vector_of(jpeg(7)))
    (left,) = (line.split()[0] for line in said if "stays until the table's old files go" in line)
    assert left in data_files(root) - before
    upkeep.vacuum(spark, root, 0, datetime.now(UTC))
    assert left not in data_files(root)


@pytest.mark.usefixtures("no_deletes")
def test_a_file_of_good_images_that_were_looked_at_again_may_stay_too(images, root, run, featuriser, capsys):
    featuriser(ClosedFeaturiser)
    fill(images, 2)
    run()
    put(images / "Kiwi" / "no.jpg", jpeg(0))  # alone in its batch: good ones are looked at with it
    ingest(IngestSettings(images=str(images), root=root, once=True))
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "ingest: 0 images featurised, 1 failed"
    assert "stays until the table's old files go" in said


def by_name(named):
    return sorted(named, key=lambda event: event.path)


def data_files(root):
    return {stat.path for stat in objects.list_all(delta.folder(root)) if stat.path.endswith(".parquet")}
