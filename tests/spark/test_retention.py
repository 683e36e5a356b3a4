"""How long files stay that the table no longer needs, whatever Delta thinks of it: no longer than a grace, and no shorter."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import version_model
from fruitpipe.settings import RefitSettings
from fruitpipe.table import commits, delta, upkeep
from fruitpipe.table.snapshot import Snapshot
from tests.aged import aged
from tests.spark.refit.rows import features, rows_of, write

pytestmark = pytest.mark.lane

GRACE_HOURS = 3
NINE_DAYS = 9 * 24


@pytest.fixture
def add(spark, root):
    """Appends rows to the table, which is made first: a file each time."""

    def add(count, first):
        delta.create(spark, root)
        write(root, spark.createDataFrame(rows_of(features(count, seed=first), first=first)).coalesce(1))

    return add


def path(number):
    return f"file:///images/{('Apple', 'Kiwi', 'Lemon')[number % 3]}/{number:05}.jpg"


def data(root):
    """The files with rows, those of the change feed among them."""
    return {stat.path.removeprefix(root) for stat in objects.list_all(delta.folder(root)) if stat.path.endswith(".parquet")}


def needed(root):
    """The files that hold the table's rows as it is now."""
    return {f"/features/{file.path}" for file in Snapshot(root).files()}


def test_what_the_table_no_longer_needs_goes_after_the_grace_and_not_before(spark, root, add):
    add(4, first=0)
    commits.remove(spark, root, [path(0)])
    older = aged(root, GRACE_HOURS + 1)
    there_then, needed_then, kept_then = data(root), needed(older), Counted(spark, older)
    commits.remove(spark, older, [path(1)])
    written_now = data(older) - there_then
    upkeep.vacuum(spark, older, GRACE_HOURS, datetime.now(UTC))
    assert written_now <= data(older)
    assert needed_then < there_then
    assert needed_then - needed(older), "something was replaced a moment ago, and stays"
    assert data(older) & there_then == needed_then
    assert kept_then.still_read()


class Counted:
    """A version of the table that a reader has open."""

    def __init__(self, spark, root):
        self.spark, self.root = spark, root
        self.version = delta.describe(root).version
        self.rows = delta.rows(spark, root).count()

    def still_read(self):
        return delta.rows_at(self.spark, self.root, self.version).select("features").count() == self.rows


def test_a_refit_after_nine_days_reads_what_has_changed_alone(spark, root, add, capsys):
    add(60, first=0)
    refit(RefitSettings(root=root, components=3, report=False))
    add(9, first=60)
    commits.remove(spark, root, [path(7)])
    older = aged(root, NINE_DAYS)
    capsys.readouterr()
    refit(RefitSettings(root=older, components=3, report=False))
    assert "9 rows added and 1 taken out since v000001, 60 not read again" in capsys.readouterr().out
    refit(RefitSettings(root=older, components=3, report=False, full=True))
    read, all_read = (version_model.load_model(older, version).summary.moments for version in ("v000002", "v000003"))
    assert read.count == all_read.count == 68
    np.testing.assert_allclose(read.mean, all_read.mean, rtol=1e-12, atol=1e-15)


def test_a_version_that_is_nine_days_old_is_read_while_its_files_are_there(spark, root, add):
    add(5, first=0)
    add(3, first=5)
    older = aged(root, NINE_DAYS)
    assert delta.rows_at(spark, older, delta.describe(older).version - 1).select("features").count() == 5


@pytest.mark.parametrize(("kept_days", "is_kept"), [(30, True), (7, False)])
def test_a_refit_after_nine_days_of_upkeep_reads_changes_where_the_table_is_to_remember_that_long(
    spark, root, add, capsys, kept_days, is_kept
):
    """Upkeep as the stream does it: checkpoints, with which Delta removes what is old of the log, a compaction and a vacuum."""
    delta.create(spark, root, hours=kept_days * 24)
    spark.sql(f"ALTER TABLE {delta.in_sql(root)} SET TBLPROPERTIES ('delta.checkpointInterval' = '2')")
    add(60, first=0)
    refit(RefitSettings(root=root, components=3, report=False))
    for first in (60, 63):
        add(3, first=first)
    upkeep.compact(spark, root, 1_000_000)
    older = aged(root, NINE_DAYS)
    for first in (66, 67, 68):
        write(older, spark.createDataFrame(rows_of(features(1, seed=first), first=first)).coalesce(1))
    upkeep.vacuum(spark, older, kept_days * 24, datetime.now(UTC))
    capsys.readouterr()
    refit(RefitSettings(root=older, components=3, report=False))
    said = capsys.readouterr().out
    assert ("9 rows added and 0 taken out since v000001, 60 not read again" in said) == is_kept
    assert ("all 69 rows read (" in said) == (not is_kept)
    assert objects.exists(delta.file_uri(older, f"_delta_log/{2:020}.json")) == is_kept
