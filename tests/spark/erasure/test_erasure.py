"""Erasure on real Spark: what is asked to go is found nowhere afterwards, by a reader of this test's own; all else stays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from delta.tables import DeltaTable

from fruitpipe import objects
from fruitpipe.erasure import held_rows, register, search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.record import Erasure
from fruitpipe.export import register as exports
from fruitpipe.export.register import Export
from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import publication, version_model
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings
from fruitpipe.table import commits, delta, lookup, upkeep
from tests.commands import heard
from tests.pictures import fill, jpeg, put
from tests.raw_reader import found_in

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def certificate(root):
    (record,) = register.every(root)
    return record


def elsewhere_than_here(root):
    """What remains but for working files of the tests' own Spark, which go when it ends."""
    return [one for one in certificate(root).remaining if one["why"] != "Spark's, on the stream's own machine"]


@pytest.mark.lane
def test_an_erased_image_is_in_no_file_afterwards_and_the_others_keep_their_vectors(images, root, run, erase, vectors):
    uris = fill(images, 3) + fill(images, 3, "Lime", first=3)
    run()
    refit(RefitSettings(root=root))
    refit(RefitSettings(root=root, full=True, report=False))
    before = vectors()
    name = uris[1].removeprefix("file://")
    assert found_in(root, name, before[uris[1]])
    code, said = erase(uris[1], "--requested-by", "a customer's letter of 5 November")
    assert code == 0, said
    assert not Path(name).exists()
    assert "no trace found" in run()
    assert found_in(root, name, before[uris[1]]) == []
    after = vectors()
    assert after == {path: vector for path, vector in before.items() if path != uris[1]}
    record = certificate(root)
    assert (record.status, record.requested_by, len(record.images)) == ("done", "a customer's letter of 5 November", 1)
    assert publication.versions(root) == ["v000003"]
    assert version_model.load_model(root, "v000003").facts["rows"] == 5


@pytest.mark.lane
def test_the_first_and_the_last_name_of_a_file_leave_its_statistics_in_the_log_too(images, root, run, erase, vectors):
    uris = fill(images, 6)
    run()
    before = vectors()
    erase(uris[0], uris[-1])
    assert "files go after" in run(erasure_grace_hours=1)
    record = certificate(root)
    register.save(root, Erasure(**{**vars(record), "files_go_after": record.requested_at}))
    assert "no trace found" in run()
    assert certificate(root).status == "done"
    for gone in (uris[0], uris[-1]):
        assert found_in(root, gone.removeprefix("file://"), before[gone]) == []


def write_by_hand(root, named, other):
    """A rejected line, an old manifest, a report, a file of triggers and a note of an app; returns the manifest's lines."""
    rejected = f'{{"event": "lost", "path": "{named}"}}\nnonsense\n'
    objects.write(f"{root}/rejected/000000009-0123456789abcdef.jsonl", rejected.encode())
    old = "".join(json.dumps({"event": "created", "path": path}) + "\n" for path in (named, other)).encode()
    objects.write(f"{root}/events/2026/01/01/000000-test.jsonl", old)
    objects.write(f"{root}/reports/v000002.html", b"<img src='...'>")
    objects.write(f"{root}/triggers/refit.json", b"{}")
    exports.add(root, Export("s3://shop/app", "v000002-01234567", "v000002"))
    return old


def paths(root):
    """Of all rows that the table has."""
    return set(lookup.among(root, list))


@pytest.mark.soak
def test_everything_that_happens_to_a_table_leaves_nothing_of_the_image(spark, images, root, run, erase, vectors):
    """Refits, an overwrite, a compaction, a bad image, a rejected line, an old manifest, a report and a file of triggers."""
    uris = fill(images, 6) + fill(images, 4, "Lime", first=6)
    bad = put(images / "Kiwi" / "bad.jpg", b"no picture at all")
    run()
    refit(RefitSettings(root=root, report=False))
    first = vectors()
    put(images / "Kiwi" / "0002.jpg", jpeg(99))
    reconcile(ReconcileSettings(images=str(images), root=root))
    run()
    refit(RefitSettings(root=root, report=False))
    DeltaTable.forPath(spark, delta.features_uri(root)).optimize().executeCompaction()
    old = write_by_hand(root, uris[2], uris[3])
    before = vectors()
    code, said = erase(uris[2], bad)
    assert code == 0, said
    assert "no trace found" in run()
    assert [one["what"] for one in elsewhere_than_here(root)] == ["s3://shop/app/v000002-01234567"]
    for gone in (uris[2], bad):
        assert found_in(root, gone.removeprefix("file://"), first[uris[2]], before[uris[2]]) == []
    assert vectors() == {path: vector for path, vector in before.items() if path != uris[2]}
    assert bad not in paths(root)
    assert objects.read(f"{root}/rejected/000000009-0123456789abcdef.jsonl") == b"nonsense\n"
    assert objects.children(f"{root}/reports") == []
    assert objects.read(f"{root}/triggers/refit.json") == b"{}"
    # An old manifest, written again by hand, and a checkpoint that is lost, bring nothing back.
    objects.write(f"{root}/events/2026/01/02/000000-test.jsonl", old)
    objects.delete_all(f"{root}/checkpoints")
    run()
    assert paths(root) == set(uris) - {uris[2]}


@pytest.mark.usefixtures("small_network")
def test_the_next_refit_equals_one_on_data_that_never_had_the_images(images, root, run, erase, tmp_path):
    uris = fill(images, 8) + fill(images, 8, "Lime", first=8)
    run()
    refit(RefitSettings(root=root, report=False))
    erase(uris[0], uris[12])
    run()
    refit(RefitSettings(root=root, report=False))
    erased = version_model.load_model(root, publication.current(root))
    never = f"file://{tmp_path}/never"
    ingest(IngestSettings(images=str(images), root=never, once=True))
    refit(RefitSettings(root=never, report=False))
    other = version_model.load_model(never, publication.current(never))
    assert erased.facts["rows"] == other.facts["rows"] == 14
    assert erased.reduction.k == other.reduction.k
    np.testing.assert_allclose(erased.summary.moments.mean, other.summary.moments.mean, atol=1e-12)
    np.testing.assert_allclose(erased.summary.moments.variances, other.summary.moments.variances, atol=1e-12)
    turned = np.sign(np.sum(erased.reduction.components * other.reduction.components, axis=1))[:, np.newaxis]
    np.testing.assert_allclose(erased.reduction.components * turned, other.reduction.components, atol=1e-6)
    assert erased.summary.labels == other.summary.labels


@pytest.mark.usefixtures("small_network")
def test_readers_keep_their_files_for_the_grace_and_the_certificate_waits_for_its_end(spark, images, root, run, erase, vectors):
    uris = fill(images, 4)
    run()
    refit(RefitSettings(root=root, report=False))
    version, before = delta.describe(root).version, vectors()
    erase(uris[0])
    assert "files go after" in run(erasure_grace_hours=1)
    assert certificate(root).status == "waiting"
    assert uris[0] not in vectors()
    assert publication.versions(root) == ["v000002"]
    # Who opened the table or the version before still reads it whole.
    assert delta.rows_at(spark, root, version).count() == 4
    assert publication.read_reduced(spark, root, "v000001").count() == 4
    assert "v000001 is not a published version" in heard(f"fruitpipe rollback --root {root} v000001").stderr
    record = certificate(root)
    register.save(root, Erasure(**{**vars(record), "files_go_after": record.requested_at}))
    assert "no trace found" in run()
    assert found_in(root, uris[0].removeprefix("file://"), before[uris[0]]) == []


def test_a_kept_object_does_not_come_back(images, root, run, erase, by_uri, vectors):
    uris = fill(images, 4)
    run()
    vector = vectors()[uris[0]]
    code, said = erase("--keep-object", uris[0])
    assert code == 0, said
    run()
    assert Path(uris[0].removeprefix("file://")).exists()
    assert set(by_uri()) == set(uris[1:])
    assert [one["why"] for one in elsewhere_than_here(root)] == ["--keep-object was asked for"]
    reconcile(ReconcileSettings(images=str(images), root=root))
    objects.delete_all(f"{root}/checkpoints")
    run()
    assert set(by_uri()) == set(uris[1:])
    assert found_in(f"{root}/features", "no name", vector) == []


@pytest.mark.soak
def test_an_erasure_whose_vacuum_breaks_off_is_carried_out_by_the_next_run(images, root, run, erase, vectors, monkeypatch):
    """tests/unit/test_model.py has the other steps."""
    uris = fill(images, 4)
    run()
    refit(RefitSettings(root=root, components=1, report=False))
    before = vectors()
    erase(uris[0])
    with monkeypatch.context() as broken:
        broken.setattr(upkeep, "vacuum", _breaks)
        with pytest.raises(KeyboardInterrupt):
            run()
    run()
    assert certificate(root).status == "done"
    assert found_in(root, uris[0].removeprefix("file://"), before[uris[0]]) == []
    assert vectors() == {path: vector for path, vector in before.items() if path != uris[0]}
    assert version_model.load_model(root, publication.current(root)).facts["rows"] == len(before) - 1


def _breaks(*_arguments, **_named):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("small_network")
def test_an_image_that_looks_the_same_stays_and_is_no_trace(images, root, run, erase, by_uri):
    uris = [put(images / "Kiwi" / f"{name}.jpg", jpeg(1)) for name in ("a", "b")] + fill(images, 2)
    run()
    refit(RefitSettings(root=root, report=False))
    erase(uris[0])
    assert "no trace found" in run()
    assert set(by_uri()) == set(uris[1:])


@pytest.mark.usefixtures("small_network")
def test_where_fewer_rows_are_left_than_components_were_asked_for_the_version_has_all_that_can_be(images, root, run, erase):
    uris = fill(images, 5)
    run()
    refit(RefitSettings(root=root, components=4, report=False))
    assert erase(uris[0])[0] == 0
    assert "no trace found" in run()
    facts = version_model.load_model(root, publication.current(root)).facts
    assert (facts["version"], facts["rows"], facts["k"]) == ("v000002", 4, 3)


@pytest.mark.parametrize("length", [32, 64])
def test_the_statistics_of_a_name_that_goes_on_longer_are_no_trace_of_an_erased_one(spark, root, length):
    """Delta would keep 32 characters of it in the log, Parquet 64 bytes in its index."""
    erased = f"s3://photos/{'x' * (length - 18)}/1.jpg"
    assert len(erased) == length
    stays = f"{erased} (1).jpg"
    fixed = {"label": "x", "features": np.zeros(8, np.float32), "extractor": "e", "ingested_at": NOON, "outcome": "featurised"}
    delta.create(spark, root)
    commits.merge(spark, root, spark.createDataFrame(pa.Table.from_pylist([{"path": stays, **fixed}], OUTCOMES)))
    traces = Traces.of([erased])
    assert search.of_root(root, traces.beside(held_rows.that_stay(root, traces.paths))).found == []
