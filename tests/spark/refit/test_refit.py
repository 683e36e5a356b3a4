"""The refit on a features table: what it publishes, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F  # noqa: N812

from fruitpipe import objects
from fruitpipe.classifier.classifier import fit
from fruitpipe.errors import InvalidResult, NotEnoughRows, WrongUsage
from fruitpipe.jobs.refit import refit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import changes, on_spark, pointer, publication, version_model
from fruitpipe.settings import RefitSettings
from fruitpipe.table import delta
from tests.spark.refit.rows import DIMENSIONS, LABELS, OF_EXTRACTOR, append, by_numpy, features, files, reduced, rows_of, write


def test_a_refit_publishes_what_numpy_computes(spark, root, add, run):
    rows = features(60, dimensions=OF_EXTRACTOR)
    add(rows)
    code, printed = run("--variance", "0.9")
    paths, vectors = reduced(spark, root)
    expected, shares = by_numpy(rows, vectors.shape[1])
    assert code == 0
    assert shares[vectors.shape[1] - 2] < 0.9 <= shares[vectors.shape[1] - 1]
    assert paths == sorted(row["path"] for row in delta.rows(spark, root).select("path").collect())
    order = np.argsort([f"{LABELS[number % 3]}/{number:05}" for number in range(60)])
    np.testing.assert_allclose(np.abs(vectors), np.abs(expected[order]), atol=1e-4)
    assert f"v000001: 60 rows, 3 labels; k = {vectors.shape[1]} keeps {100 * shares[vectors.shape[1] - 1]:.2f} %" in printed


def test_a_refit_publishes_the_classifier_of_its_rows_and_what_it_was_measured_to_be_worth(root, add, run):
    rows = features(60)
    add(rows)
    _, printed = run("--components", "4")
    found, facts = publication.load_classifier(root), version_model.load_facts(root, "v000001")
    labels = np.array([LABELS[number % 3] for number in range(60)], object)
    expected = fit(Summary.of(rows, labels, labels), lambda: (rows, labels))
    np.testing.assert_allclose(found.predict_proba(rows), expected.predict_proba(rows), rtol=1e-5)
    assert found.calibration.most_novel == pytest.approx(expected.calibration.most_novel, rel=1e-6)
    assert f"classifier: {found.calibration}" in printed
    assert facts["classifier"]["rows"] == 60


def test_labels_of_one_image_each_are_published_without_a_classifier_and_the_refit_says_why(root, add, run):
    add(features(60)[::3][:1].repeat(3, axis=0) + np.eye(3, DIMENSIONS, dtype=np.float32))
    code, printed = run("--components", "1")
    assert code == 0
    assert "no classifier: 3 images of 3 labels, no two of one label that differ" in printed
    with pytest.raises(NotEnoughRows, match=r"v000001 of .* has no classifier \(3 images of 3 labels"):
        publication.load_classifier(root)


def test_the_facts_of_a_version_stand_beside_its_model(root, add, run):
    add(features(60), errors={7})
    run("--components", "4")
    facts = version_model.load_model(root, "v000001").facts
    wanted = {"version", "k", "variance_asked", "variance_kept", "rows", "labels", "features_version", "extractor", "created_at"}
    assert wanted <= set(facts)
    assert (facts["k"], facts["rows"], facts["labels"], facts["features_version"]) == (4, 59, 3, 1)
    assert facts["variance_asked"] is None
    assert facts["constant_columns"] == DIMENSIONS // 4


def test_the_parquet_files_hold_plain_float_lists(spark, root, add, run):
    add(features(10))
    run("--components", "2")
    files_schema = spark.read.parquet(publication.reduced_uri(root, "v000001")).schema
    assert files_schema.simpleString() == "struct<path:string,label:string,pca_features:array<float>>"
    assert {row["version"] for row in publication.read_reduced(spark, root).collect()} == {"v000001"}


@pytest.mark.parametrize(
    ("count", "flags", "refusal"),
    [
        (1, (), (1, "1 good rows; a reduction needs at least 2")),
        (3, ("--components", "3"), (2, "components 3: 3 rows, which vary in 2 independent directions, allow 1 to 2")),
        (3, ("--unless-current", "--full"), (2, "--unless-current with --full")),
        (3, ("--variance", "1.5"), (2, "--variance 1.5: input should be less than or equal to 1")),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_written(root, add, run, *, count, flags, refusal):
    add(features(count))
    before = files(root)
    code, printed = run(*flags)
    assert (code, printed.count("error:")) == (refusal[0], 1)
    assert refusal[1] in printed.splitlines()[-1]
    assert "Traceback" not in printed
    assert files(root) == before


def test_without_a_table_the_user_is_told_what_to_run_first(root, run):
    code, printed = run()
    assert code == 1
    assert "run fruitpipe ingest" in printed
    assert files(root) == {}


def test_features_of_two_extractors_are_refused_with_their_counts(root, add, run):
    add(features(5))
    add(features(2), first=5, extractor="old")
    code, printed = run()
    assert code == 1
    assert "abc (5 rows), old (2 rows); run fruitpipe reconcile" in printed
    assert files(root) == {}


def test_rows_of_an_earlier_extractor_whose_images_the_store_does_not_give_are_left_out_and_counted(spark, root, add, run):
    rows = features(12)
    add(rows)
    add(features(3, seed=1), first=50, extractor="old", message="archived: in an archive")
    spark.sql(f"OPTIMIZE {delta.in_sql(root)}")  # rows of both lie in one file
    code, printed = run("--components", "3")
    assert code == 0
    assert "all 12 rows read" in printed
    assert "3 rows have features of an earlier extractor and are left out" in printed
    model = version_model.load_model(root, "v000001")
    assert (model.facts["rows"], model.facts["rows_left_out"], model.facts["extractor"]) == (12, 3, "abc")
    np.testing.assert_allclose(model.summary.moments.mean, rows.astype(float).mean(axis=0), atol=1e-12)
    table = DeltaTable.forPath(spark, delta.features_uri(root))
    table.update("extractor = 'old' AND path LIKE '%/00050.jpg'", {"extractor": F.lit("abc"), "error_message": F.lit(None)})
    code, printed = run("--components", "3")
    assert (code, "1 rows added and 0 taken out" in printed) == (0, True)
    assert version_model.load_model(root, "v000002").facts["rows_left_out"] == 2


def test_equal_rows_are_refused_and_the_version_before_stays(spark, root, add, run):
    add(features(6))
    run()
    before = files(root)
    DeltaTable.forPath(spark, delta.features_uri(root)).delete()
    add(np.full((12, DIMENSIONS), 0.1, np.float32))
    code, printed = run()
    assert code == 1
    assert "all 12 good rows are equal" in printed
    assert files(root) == before


def test_columns_that_are_small_but_real_count_and_rows_with_a_nan_are_set_aside_and_named(spark, root, add, run):
    rows = features(9)
    add(rows[:8])
    run("--components", "3")
    DeltaTable.forPath(spark, delta.features_uri(root)).delete()
    rows[:, 1] *= np.float32(1e-9)
    rows[8, 5] = np.nan
    add(rows)
    code, printed = run("--components", "3")
    assert code == 0
    assert "1 rows hold a NaN or an infinity and are set aside: file:///images/Lemon/00008.jpg" in printed
    plain, scaled = reduced(spark, root, "v000001"), reduced(spark, root, "v000002")
    assert plain[0] == scaled[0]
    np.testing.assert_allclose(scaled[1], plain[1], atol=1e-3)
    assert np.isfinite(scaled[1]).all()


def test_shuffled_rows_in_other_partitions_give_the_same_vectors_and_one_more_row_keeps_the_signs(spark, root, add, run):
    rows = features(61)
    add(rows[:60])
    run("--components", "5")
    shuffled = spark.createDataFrame(rows_of(rows[:60])).orderBy(F.rand(1)).repartition(7)
    DeltaTable.forPath(spark, delta.features_uri(root)).delete()
    write(root, shuffled)
    run("--components", "5", "--full")
    add(rows[60:], first=60)
    run("--components", "5")
    (paths, first), (_, second), (grown_paths, third) = (reduced(spark, root, f"v00000{number}") for number in (1, 2, 3))
    np.testing.assert_allclose(second, first, atol=1e-5)
    kept = [grown_paths.index(path) for path in paths]
    assert (np.sum(third[kept] * first, axis=0)[:3] > 0.9 * np.sum(first**2, axis=0)[:3]).all()


def test_keep_removes_older_versions_after_the_switch(root, add, run):
    add(features(10))
    for _ in range(3):
        run("--components", "2", "--keep", "2")
    assert publication.versions(root) == ["v000002", "v000003"]
    assert [name for name in objects.children(objects.join(root, "reduced")) if name.endswith("/")] == ["v000002/", "v000003/"]


@pytest.mark.parametrize("spoil", ["rows", "length", "variance"])
def test_a_result_that_does_not_read_back_is_not_published(root, add, run, monkeypatch, spoil):
    add(features(10))
    run("--components", "2")
    before = files(root)
    write = on_spark.write

    def spoiled(features, reduction, folder, name):
        write(features, reduction, folder, name)
        file = next(Path(folder.removeprefix("file://")).glob("*.parquet"))
        written = pq.read_table(file)
        vectors = np.stack(written["pca_features"].to_numpy())
        if spoil == "rows":
            written, vectors = written.slice(1), vectors[1:]
        other = {"rows": vectors, "length": vectors[:, :1], "variance": vectors * 2}[spoil]
        pq.write_table(written.set_column(2, "pca_features", on_spark.vectors_of(other)), file)

    monkeypatch.setattr(on_spark, "write", spoiled)
    code, printed = run("--components", "2")
    expected = {"rows": "10 rows of finite numbers expected, 9 found", "length": "2 numbers expected", "variance": "variance"}
    assert code == 1
    assert expected[spoil] in printed
    assert "expected" in printed
    assert files(root) == before


def test_files_and_rows_say_the_same_and_files_that_may_hide_rows_are_left_to_spark(spark, root, add):
    add(features(60), errors={7})
    add(features(5), first=60)
    DeltaTable.forPath(spark, delta.features_uri(root)).delete("path LIKE '%/00009.jpg'")
    pinned = changes.pin(spark, root)
    assert (pinned.rows, pinned.plain, pinned.source(spark).tasks is None) == (63, True, False)
    by_rows = on_spark.summarise(on_spark.of_rows(delta.rows(spark, root), "features"), DIMENSIONS)
    by_files = on_spark.summarise(pinned.source(spark), DIMENSIONS)
    assert by_files.count == by_rows.count == 63
    np.testing.assert_allclose(by_files.moments.m2, by_rows.moments.m2, atol=1e-9)
    uri = delta.features_uri(root)
    for marked in ("true", "false"):  # which leaves the feature in the protocol, and perhaps rows that are only marked
        spark.sql(f"ALTER TABLE delta.`{uri}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = '{marked}')")
    hiding = changes.pin(spark, root)
    assert (hiding.rows, hiding.plain, hiding.source(spark).tasks) == (63, False, None)
    assert on_spark.summarise(hiding.source(spark), DIMENSIONS).count == 63


def test_files_that_are_too_large_for_a_worker_are_left_to_spark(spark, root, add):
    add(features(5))
    pinned = changes.pin(spark, root)
    large = replace(pinned, files=(pinned.files[0]._replace(length=changes.LARGEST_BYTES + 1),))
    assert large.source(spark).tasks is None
    assert on_spark.summarise(large.source(spark), DIMENSIONS).count == 5


def test_a_root_with_odd_characters_is_read_and_written_like_any_other(spark, tmp_path):
    escaped = f"file://{tmp_path}/a b+c%20d é"
    delta.create(spark, escaped)
    with pytest.raises(WrongUsage, match="with %20 in its name"):
        refit(RefitSettings(root=escaped, components=2, report=False))
    root = f"file://{tmp_path}/a b+c % d é"
    delta.create(spark, root)
    append(root, rows_of(features(9)))
    refit(RefitSettings(root=root, components=2))
    assert len(reduced(spark, root)[0]) == 9
    assert changes.pin(spark, root).source(spark).tasks


def test_errors_of_workers_arrive_as_ours(spark, root, add):
    add(features(4))
    with pytest.raises(Exception, match="127 numbers expected in each vector, 128 found") as caught:
        on_spark.summarise(on_spark.of_rows(delta.rows(spark, root), "features"), DIMENSIONS - 1)
    assert InvalidResult.__name__ in str(caught.value)


def test_an_overtaken_refit_is_told_and_the_later_version_stays(root, add, run, monkeypatch):
    add(features(10))
    gather = changes.gather

    def while_another_refit_runs(*args, **how):
        monkeypatch.setattr(changes, "gather", gather)
        run("--components", "3")
        return gather(*args, **how)

    monkeypatch.setattr(changes, "gather", while_another_refit_runs)
    code, printed = run("--components", "2")
    assert code == 1
    assert "v000001 is not published: v000002 began later" in printed
    assert pointer.get(root).versions == ("v000002",)
    assert publication.load_reduction(root).k == 3
