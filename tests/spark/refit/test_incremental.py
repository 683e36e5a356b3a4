"""A refit reads only what is new, wherever that changes nothing, and says so where it must read all."""

import numpy as np
import pytest
from delta.tables import DeltaTable
from pyspark.sql import functions as F  # noqa: N812

from fruitpipe import objects
from fruitpipe.refit import changes, publication, rollback, version_model
from fruitpipe.table import delta
from tests.spark.refit.rows import LABELS, append, features, reduced, rows_of

pytestmark = pytest.mark.lane


def test_only_new_rows_are_read_and_the_result_is_that_of_a_full_refit(spark, root, add, run):
    add(features(60))
    run("--components", "6")
    add(features(9, seed=5), first=60, errors={62})
    spark.sql(f"OPTIMIZE delta.`{delta.features_uri(root)}`").collect()
    _, printed = run("--components", "6")
    assert "8 rows added and 0 taken out since v000001, 60 not read again" in printed
    assert version_model.load_model(root, "v000002").facts["rows_read"] == 8
    _, printed = run("--components", "6", "--full")
    assert "all 68 rows read (--full was given)" in printed
    assert_equal_models(root, "v000002", "v000003")
    np.testing.assert_allclose(reduced(spark, root, "v000002")[1], reduced(spark, root, "v000003")[1], atol=1e-5)


def test_changed_and_removed_rows_are_taken_out_and_the_result_is_that_of_a_full_refit(spark, root, add, run):
    add(features(60))
    run("--components", "6")
    table = DeltaTable.forPath(spark, delta.features_uri(root))
    table.delete("path LIKE '%/00007.jpg'")
    changed = F.transform("features", lambda value: value * F.lit(1.01).cast("float"))
    table.update("path LIKE '%/00008.jpg'", {"features": changed})
    table.update("path LIKE '%/00009.jpg'", {"features": F.lit(None), "error": F.lit("truncated")})
    _, printed = run("--components", "6")
    assert "1 rows added and 3 taken out since v000001" in printed
    run("--components", "6", "--full")
    assert_equal_models(root, "v000002", "v000003")
    facts = version_model.load_model(root, "v000002").facts
    assert facts["rows"] == 58
    assert 1 < facts["cancellation"] <= changes.MOST_CANCELLATION


def assert_equal_models(root, *versions):
    one, other = (version_model.load_model(root, version) for version in versions)
    assert one.summary.moments.count == other.summary.moments.count
    assert one.summary.labels == other.summary.labels
    spread = np.sqrt(np.diag(other.summary.moments.m2))
    spread[spread == 0] = 1
    np.testing.assert_allclose(one.summary.moments.mean, other.summary.moments.mean, rtol=1e-12, atol=1e-15)
    difference = (one.summary.moments.m2 - other.summary.moments.m2) / spread / spread[:, None]
    assert np.abs(difference).max() < 1e-12
    np.testing.assert_allclose(one.summary.label_means, other.summary.label_means, atol=1e-12)
    np.testing.assert_allclose(one.reduction.components, other.reduction.components, atol=1e-8)
    first, second = (publication.load_classifier(root, version).arrays() for version in versions)
    assert first.pop("labels").tolist() == second.pop("labels").tolist()
    for name, array in first.items():
        np.testing.assert_allclose(array, second[name], rtol=1e-8, atol=1e-8, err_msg=name)


def test_a_row_whose_removal_would_cost_digits_has_all_rows_read(spark, root, add, run):
    rows = features(60)
    rows[3, 0] = 0.5
    add(rows)
    run("--components", "3")
    DeltaTable.forPath(spark, delta.features_uri(root)).delete("path LIKE '%/00003.jpg'")
    code, printed = run("--components", "3")
    assert code == 0
    assert "all 59 rows read (taking rows out would have magnified rounding" in printed
    assert version_model.load_model(root, "v000002").reduction.scale[0] == 0


def test_rows_of_which_time_and_etag_alone_changed_did_not_change_and_one_that_came_back_neither(spark, root, add, run):
    rows = features(30)
    add(rows)
    run("--components", "3")
    table = DeltaTable.forPath(spark, delta.features_uri(root))
    table.update(set={"etag": F.lit("new"), "modification_time": F.current_timestamp()})  # all: far more than a tenth
    table.delete("path LIKE '%/00007.jpg'")
    append(root, rows_of(rows[7:8], first=7))
    code, printed = run("--unless-current", "--variance", "0.1")
    assert (code, "nothing changed since v000001: nothing is published" in printed) == (0, True)
    assert "0 rows added and 0 taken out since v000001, 30 not read again" in printed
    table.update("path LIKE '%/00003.jpg'", {"label": F.lit("Pear")})
    assert "1 rows added and 1 taken out since v000001" in run("--components", "3")[1]


def test_many_removals_another_extractor_and_another_table_have_all_rows_read(spark, root, add, run):
    add(features(30))
    run("--components", "3")
    table = DeltaTable.forPath(spark, delta.features_uri(root))
    table.delete("path LIKE '%/0000_.jpg'")
    assert "10 of 30 rows were changed or removed, more than 10%" in run("--components", "3")[1]
    table.update(set={"extractor": F.lit("new")})
    assert "the extractor changed from abc to new" in run("--components", "3")[1]
    objects.delete_all(objects.join(root, "features"))
    add(features(30), extractor="new")
    assert "v000003 was fitted on a table that was here before" in run("--components", "3")[1]


def test_a_change_feed_whose_files_are_gone_has_all_rows_read(spark, root, add, run):
    add(features(60))
    run("--components", "3")
    DeltaTable.forPath(spark, delta.features_uri(root)).delete("path LIKE '%/00007.jpg'")
    assert objects.delete_all(objects.join(root, "features", "_change_data")) > 0
    code, printed = run("--components", "3")
    assert code == 0
    assert "all 59 rows read (the change feed's files cannot be read" in printed


def test_unless_current_projects_new_rows_with_the_components_that_still_do(spark, root, add, run):
    add(features(60))
    run("--variance", "0.9")
    old_paths, old = reduced(spark, root)
    assert "nothing changed since v000001: nothing is published" in run("--variance", "0.5", "--unless-current")[1]
    assert publication.versions(root) == ["v000001"]
    new = features(6, seed=5)
    add(new, first=60)
    _, printed = run("--variance", "0.5", "--unless-current")
    assert "no refit: the components of v000001 keep" in printed
    paths, vectors = reduced(spark, root)
    assert publication.current(root) == "v000002"
    np.testing.assert_array_equal(vectors[[paths.index(path) for path in old_paths]], old)
    added = [index for index, path in enumerate(paths) if path not in old_paths]
    order = np.argsort([f"{LABELS[number % 3]}/{number:05}" for number in range(60, 66)])
    np.testing.assert_allclose(vectors[added], publication.load_reduction(root).transform(new[order]), atol=1e-6)
    facts = version_model.load_model(root, "v000002").facts
    assert facts["basis"] == "v000001"
    assert facts["continuity"] == {"previous": "v000001", "may_mix": True}


def test_unless_current_refits_when_the_components_no_longer_do_or_rows_went(spark, root, add, run):
    add(features(60))
    run("--variance", "0.5")
    _, printed = run("--variance", "0.95", "--unless-current")
    assert "a refit is needed: the components of v000001 keep" in printed
    DeltaTable.forPath(spark, delta.features_uri(root)).delete("path LIKE '%/00007.jpg'")
    _, printed = run("--variance", "0.5", "--unless-current")
    assert "a refit is needed: not only were rows added since v000002" in printed
    assert version_model.load_model(root, "v000003").facts["rows"] == 59


def test_while_a_rollback_holds_a_refit_publishes_beside_it_and_only_what_is_new(root, add, run):
    add(features(60))
    run("--variance", "0.9")
    run("--variance", "0.95")
    rollback.roll_back(root, "v000001")
    add(features(6, seed=5), first=60)
    _, printed = run("--variance", "0.5", "--unless-current")
    assert "v000003 is published, and readers do not get it: v000001 is held since" in printed
    assert version_model.load_model(root, "v000003").facts["basis"] == "v000001"
    assert publication.current(root) == "v000001"
    assert "nothing changed since v000003" in run("--variance", "0.5", "--unless-current")[1]
    rollback.release(root)
    run("--variance", "0.5", "--unless-current")
    assert publication.current(root) == "v000004"


def test_a_version_says_how_far_it_turned_from_the_one_before(root, add, run):
    add(features(60))
    run("--components", "4")
    add(features(30, seed=5), first=60)
    run("--components", "4")
    assert version_model.load_model(root, "v000001").facts["continuity"] is None
    turned = version_model.load_model(root, "v000002").facts["continuity"]
    assert turned["previous"] == "v000001"
    assert turned["may_mix"] is False
    assert 0 < turned["largest_angle_degrees"] < 90
    assert set(turned["label_moves"]) == set(LABELS)
