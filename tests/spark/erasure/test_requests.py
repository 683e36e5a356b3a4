"""How erasure is asked for, by name, label, list or manifest, and what is held about an image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F  # noqa: N812

from fruitpipe import cli, objects
from fruitpipe.erasure import register
from fruitpipe.erasure.execution import Eraser
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import publication
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings
from fruitpipe.table import delta, schema
from fruitpipe.table.fence import Fence
from tests.pictures import fill, jpeg, put
from tests.raw_reader import found_in, hits, local_files
from tests.rows import append_rows


@pytest.mark.usefixtures("small_network")
def test_a_whole_label_at_once_and_what_is_left_is_refitted_or_unpublished(images, root, run, erase, by_uri):
    fill(images, 3)
    lime = fill(images, 1, "Lime", first=3)
    run()
    refit(RefitSettings(root=root, report=False))
    code, said = erase("--label", "Kiwi")
    assert (code, "3 images requested" in said) == (0, True), said
    assert "no trace found" in run()
    assert set(by_uri()) == set(lime)
    assert publication.versions(root) == []  # one row is left, which no version can be fitted on
    assert not list(Path(root.removeprefix("file://"), "reduced").rglob("*.parquet"))
    code, said = erase("--label", "Kiwi")
    assert (code, "requested before" in said) == (0, True), said


def test_asking_twice_is_one_request_and_asking_for_something_unknown_records_nothing(images, root, run, erase):
    uris = fill(images, 2)
    run()
    code, said = erase("file:///nowhere/at/all.jpg", uris[0])
    assert code == 1
    assert said.startswith(
        "error: file:///nowhere/at/all.jpg: there is no such image, in the store or under the root; nothing was"
    )
    assert register.every(root) == []
    for expected in (True, False):
        code, said = erase(uris[0])
        assert (code, "1 images requested" in said, "requested before" in said) == (0, expected, not expected), said
    run()
    code, said = erase(uris[0])
    assert (code, "requested before" in said) == (0, True), said
    assert len(register.every(root)) == 1
    code, said = erase()
    assert (code, said) == (2, "error: nothing to erase: give URIs, --prefix, --label or --from-file\n")


def test_two_spellings_of_a_name_are_two_images_and_none_is_guessed(images, root, run, erase, by_uri):
    composed = put(images / "Peche" / "p\u00eache.jpg", jpeg(1))
    decomposed = put(images / "Peche" / "pe\u0302che.jpg", jpeg(2))
    fill(images, 2)
    run()
    assert erase(decomposed)[0] == 0
    run()
    assert decomposed not in by_uri()
    assert composed in by_uri()
    Path(composed.removeprefix("file://")).rename(images / "Peche" / "pe\u0301che.jpg")
    reconcile(ReconcileSettings(images=str(images), root=root, allow_removals=True))
    run()
    code, said = erase(f"file://{images}/Peche/p\u00e9che.jpg")
    assert code == 1
    assert "one in another Unicode spelling, " in said
    assert r"pe\u0301che.jpg" in said
    assert len(register.every(root)) == 1


def test_a_line_in_a_manifest_asks_as_well_and_needs_no_command(images, root, run, vectors):
    uris = fill(images, 3)
    run()
    vector = vectors()[uris[0]]
    objects.write(
        f"{root}/events/2026/01/01/000000-test.jsonl", (json.dumps({"event": "erase", "path": uris[0]}) + "\n").encode()
    )
    assert "no trace found" in run()
    assert found_in(root, uris[0].removeprefix("file://"), vector) == []
    (record,) = register.every(root)
    assert record.requested_by == "a manifest"


@pytest.mark.usefixtures("small_network")
def test_show_gives_all_that_is_held_about_an_image(images, root, run, erase, vectors, capsys):
    uris = fill(images, 3)
    run()
    refit(RefitSettings(root=root))
    capsys.readouterr()

    def show():
        with pytest.raises(SystemExit):
            cli.main(["show", "--root", root, uris[0]])
        return json.loads(capsys.readouterr().out)

    held = show()
    rows = [row for file in held["held_in"] for row in file.get("rows", ()) if isinstance(row, dict)]
    assert held["object"] == "there"
    assert any(np.float32(row["features"]).tobytes() == vectors()[uris[0]] for row in rows if "features" in row)
    assert any("pca_features" in row for row in rows)
    erase(uris[0])
    run()
    held = show()
    assert (held["object"], held["held_in"], held["erasures"][0]["status"]) == ("not there", [], "done")


@pytest.mark.soak
def test_ten_thousand_at_once_go_and_the_others_stay(spark, root, erase, vectors, tmp_path, capsys):
    paths = [f"file:///pictures/of/fruits/{number % 9}/{number}.jpg" for number in range(12_000)]
    rows = np.random.default_rng(0).random((len(paths), 16), np.float32)
    delta.create(spark, root)
    named = pa.table({"path": paths, "label": [path.split("/")[-2] for path in paths], "features": pa.array(list(rows))})
    others = {field.name: F.lit(None).cast(field.dataType) for field in schema.FEATURES if field.name not in named.column_names}
    others |= {"extractor": F.lit("e"), "ingested_at": F.current_timestamp()}
    append_rows(root, spark.createDataFrame(named).withColumns(others))
    kept = set(paths[10_000:])
    before = vectors()
    (tmp_path / "list.txt").write_text("\n".join(paths[:10_000]) + "\n")
    code, said = erase("--from-file", str(tmp_path / "list.txt"))
    assert (code, "10000 images requested" in said) == (0, True), said
    settings = IngestSettings(images="/pictures/of/fruits", root=root, erasure_grace_hours=0, once=True)
    Eraser(spark, settings, Fence(root, lambda: None)).carry_out()
    assert "10000 images erased" in capsys.readouterr().out
    assert vectors() == {path: before[path] for path in kept}
    names = [path.removeprefix("file://") for path in paths[:10_000:500]]
    assert hits(local_files(root), names, tuple(before[path] for path in paths[:10_000:500])) == []
    code, said = erase("--from-file", str(tmp_path / "list.txt"))
    assert (code, "10000 images: requested before" in said) == (0, True), said
