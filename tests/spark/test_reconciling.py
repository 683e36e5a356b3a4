"""Reconciliation finds what the stream was not told: what changed, what is gone, and what another extractor computed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from delta.tables import DeltaTable
from PIL import Image
from pyspark.sql import functions as F  # noqa: N812

from fruitpipe import load_reduction, objects
from fruitpipe.choices import Precision
from fruitpipe.errors import Damaged, DuplicateRows, MixedExtractors, NoImages, WrongModel
from fruitpipe.extractor.inference import WEIGHTS_SHA256, ModelFile, _label, fingerprint, pack, pack_wrapped
from fruitpipe.identification.identifier import Identifier
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.jobs.refit import refit
from fruitpipe.pictures.decoding import decode
from fruitpipe.pictures.preprocessing import Preprocessing
from fruitpipe.refit import version_model
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings
from fruitpipe.table import delta
from fruitpipe.table.snapshot import Snapshot
from tests import networks
from tests.encodings import encoded
from tests.oracle import vector_of
from tests.pictures import fill, jpeg, png, put
from tests.rows import append_rows

PHOTOGRAPH = Image.open(io.BytesIO(jpeg(5))).resize((1400, 1350), Image.Resampling.BICUBIC)


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


def test_a_removed_image_loses_its_row(images, catch_up, run, table):
    fill(images, 11)
    run()
    (images / "Kiwi" / "0003.jpg").unlink()
    assert catch_up() == "ingest: 0 images featurised, 0 failed, 1 gone"
    assert len(table()) == 10


def test_an_image_with_two_rows_is_told_and_mended_and_refused_by_a_refit(spark, images, root, catch_up, table, capsys):
    fill(images, 3)
    ingest(IngestSettings(images=str(images), root=root, once=True))
    rows = delta.rows(spark, root)
    append_rows(root, rows.where("path LIKE '%0001.jpg'"))
    append_rows(root, rows.where("path LIKE '%0002.jpg'").withColumn("ingested_at", F.current_timestamp()))
    capsys.readouterr()
    with pytest.raises(
        DuplicateRows, match=r"images with more than one row \(file:.*/0001\.jpg, .*/0002\.jpg, \.\.\.\) would count"
    ):
        refit(RefitSettings(root=root, components=1, report=False))
    reconcile(ReconcileSettings(images=str(images), root=root, dry_run=True))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "reconcile: 0 new, 0 changed, 0 gone, 0 stale, 0 to look at again, 2 with more than one row"
    assert catch_up() == "ingest: 1 images featurised, 0 failed, 1 unchanged"  # rows of one moment cannot be told apart
    assert (delta.rows(spark, root).count(), len(table())) == (3, 3)
    np.testing.assert_array_equal(np.float32(table()["0001.jpg"]["features"]), vector_of(jpeg(1)))
    refit(RefitSettings(root=root, components=1, report=False))


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
    table = DeltaTable.forPath(spark, delta.features_uri(root))
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


def test_rows_of_another_extractor_are_stale_and_recomputed(spark, images, root, run, catch_up, table):
    fill(images, 2)
    run()
    DeltaTable.forPath(spark, delta.features_uri(root)).update(set={"extractor": "'older'"})
    assert catch_up() == "ingest: 2 images featurised, 0 failed"
    assert {row["extractor"] for row in table().values()} == {
        fingerprint(ModelFile.load(IngestSettings(images="x", root="x").model))
    }


def test_an_upgrade_computes_rows_of_large_pictures_again_and_those_of_small_ones_cost_no_model_call(
    images, root, run, catch_up, table
):
    """`--decode full` makes rows as an older fruitpipe made them."""
    fill(images, 2)
    put(images / "Kiwi" / "large.jpg", encoded(PHOTOGRAPH, "JPEG"))
    run(decode="full")
    before = table()
    assert len({row["extractor"] for row in before.values()}) == 1
    put(images / "Kiwi" / "another.jpg", encoded(PHOTOGRAPH, "JPEG", quality=80))
    assert run() == "ingest: 1 images featurised, 0 failed"
    with pytest.raises(MixedExtractors, match=r"large pictures decoded as full \(1 rows\), scaled-2 \(1 rows\); run"):
        refit(RefitSettings(root=root, components=1, report=False))
    assert catch_up() == "ingest: 1 images featurised, 0 failed"
    after = table()
    assert {name: row for name, row in after.items() if row["width"] == 100} == {
        name: row for name, row in before.items() if row["width"] == 100
    }
    assert {row["extractor"] for row in after.values() if row["width"] > 100} == {before["0000.jpg"]["extractor"] + "-scaled-2"}
    assert catch_up() == "ingest: 0 images featurised, 0 failed"
    refit(RefitSettings(root=root, components=1, report=False))
    assert version_model.load_facts(root, "v000001")["preprocessing"] == {"large": "scaled-2"}


def test_a_large_picture_that_is_moved_keeps_its_features_and_what_made_them(images, run, table):
    fill(images, 1)
    put(images / "Kiwi" / "large.jpg", encoded(PHOTOGRAPH, "JPEG"))
    run(decode="scaled")
    before = table()["large.jpg"]
    (images / "Kiwi" / "large.jpg").rename(images / "Kiwi" / "renamed.jpg")
    assert run(allow_removals=True) == "ingest: 0 images featurised, 0 failed, 1 moved, 1 gone"
    after = table()["renamed.jpg"]
    assert (after["extractor"], after["features"], after["width"]) == (before["extractor"], before["features"], before["width"])


def test_rows_of_float32_and_int8_do_not_stay_side_by_side(images, run, catch_up, table, tmp_path):
    fill(images, 2)
    run()
    float32 = ModelFile.load(IngestSettings(images="x", root="x").model)
    int8 = tmp_path / "int8.tflite"  # the same function under another label: which of them computes is what is looked at
    flatbuffer = float32.body[: _label(float32.body, "the model file")["flatbuffer_bytes"]]
    int8.write_bytes(pack(flatbuffer, WEIGHTS_SHA256, Precision.int8))
    fill(images, 1, first=2)
    with pytest.raises(WrongModel, match="its precision is int8, expected float32"):
        run(model=str(int8))
    assert {row["extractor"] for row in table().values()} == {fingerprint(float32)}
    assert catch_up(extractor=Precision.int8, model=str(int8)) == "ingest: 3 images featurised, 0 failed"
    assert {row["extractor"] for row in table().values()} == {fingerprint(ModelFile.load(str(int8)))} != {fingerprint(float32)}


def test_rows_of_another_network_take_the_place_of_ours_and_a_refit_follows(images, root, run, catch_up, table, tmp_path):
    fill(images, 3, "Kiwi")
    fill(images, 3, "Lemon", first=3)
    run()
    refit(RefitSettings(root=root, components=1, report=False))
    wrapped = tmp_path / "wrapped.tflite"
    wrapped.write_bytes(pack_wrapped(networks.small(), Preprocessing(32, 32, (0.0,) * 3, (255.0,) * 3)))
    fill(images, 1, "Kiwi", first=6)
    run(model=str(wrapped))
    with pytest.raises(MixedExtractors, match="features of 2 extractors must not be mixed"):
        refit(RefitSettings(root=root, components=1, report=False))
    assert catch_up(model=str(wrapped)) == "ingest: 6 images featurised, 0 failed"
    picture = decode(jpeg(3), ModelFile.load(str(wrapped)).preprocessing)
    np.testing.assert_allclose(table()["0003.jpg"]["features"], networks.expected(picture.pixels), rtol=1e-4)
    refit(RefitSettings(root=root, components=2, report=False))
    assert load_reduction(root).components.shape == (2, networks.FEATURES)
    (found,) = Identifier.of(root, str(wrapped), wanted=1).identify([f"file://{images}/Lemon/0004.jpg"])
    assert found.nearest[0].path == f"file://{images}/Lemon/0004.jpg"


def test_stale_rows_are_computed_after_fresh_ones_and_a_refit_waits_for_the_last(spark, images, root, run, table, capsys):
    fill(images, 3)
    run()
    DeltaTable.forPath(spark, delta.features_uri(root)).update(set={"extractor": "'older'"})
    fill(images, 1, first=3)
    reconcile(ReconcileSettings(images=str(images), root=root))
    assert run(stale_per_second=0) == "ingest: 1 images featurised, 0 failed"
    with pytest.raises(MixedExtractors, match=r"features of 2 extractors must not be mixed: .*older \(3 rows\)"):
        refit(RefitSettings(root=root, components=1, report=False))
    fill(images, 1, first=4)
    capsys.readouterr()
    ingest(IngestSettings(images=str(images), root=root, once=True))
    said = [line.split(" in ")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["batch 2: 1 featurised", "stale: 3 featurised", "ingest: 4 images featurised, 0 failed"]
    assert len({row["extractor"] for row in table().values()}) == 1
    refit(RefitSettings(root=root, components=1, report=False))


def test_a_prefix_under_which_nothing_ever_lay_is_refused_where_there_are_rows(images, root, run, capsys):
    fill(images, 2)
    run()
    before = list(objects.list_all(f"{root}/events"))
    with pytest.raises(NoImages, match="neither an image nor a row of the table is there; check --images"):
        reconcile(ReconcileSettings(images=f"{images}-mistyped", root=root))
    assert capsys.readouterr().out == ""
    assert list(objects.list_all(f"{root}/events")) == before


def lose_and_damage(root, whole):
    """The first file is removed, and a bit of the second one changed."""
    lost, flipped, *_ = (Path(f"{root}/features/{file.path}".removeprefix("file://")) for file in whole)
    lost.unlink()
    body = bytearray(flipped.read_bytes())
    body[len(body) // 2] ^= 1
    flipped.write_bytes(bytes(body))
    return lost, flipped


def test_lost_and_damaged_files_are_named_and_a_repair_has_their_images_come_again(images, root, run, table, capsys):
    for first in (0, 3, 6):
        fill(images, 3, first=first)
        run()
    refit(RefitSettings(root=root, components=1, report=False))
    before, whole = table(), sorted(Snapshot(root).files())
    lost, flipped = lose_and_damage(root, whole)
    with pytest.raises(Damaged, match=rf"{lost.name} is missing, with {whole[0].rows} rows; run fruitpipe reconcile .* --repair"):
        run()
    with pytest.raises(Damaged, match=rf"{lost.name}|{flipped.name}"):
        refit(RefitSettings(root=root, components=1, report=False))
    capsys.readouterr()
    asked = ReconcileSettings(images=str(images), root=root, repair=True)
    reconcile(asked.model_copy(update={"dry_run": True}))
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"reconcile: {lost.name} is missing, with {whole[0].rows} rows: would be taken out of the table"
    assert told[1].startswith(f"reconcile: {flipped.name} does not read back (")
    assert sorted(Snapshot(root).files()) == whole
    reconcile(asked)
    again = whole[0].rows + whole[1].rows
    assert capsys.readouterr().out.splitlines()[2:4] == [
        f"reconcile: 2 files lost or damaged, with {again} rows, whose images come again",
        f"reconcile: {again} new, 0 changed, 0 gone, 0 stale, 0 to look at again",
    ]
    assert run() == f"ingest: {again} images featurised, 0 failed"
    assert {name: row["features"] for name, row in table().items()} == {name: row["features"] for name, row in before.items()}
    refit(RefitSettings(root=root, components=1, report=False))
    assert "all 9 rows read" in capsys.readouterr().out
    reconcile(asked)
    assert capsys.readouterr().out.splitlines()[0].startswith("reconcile: 0 files lost or damaged")
