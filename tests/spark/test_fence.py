"""Two writers of one table, one of which stood still while the other wrote: what it then commits is refused, whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from fruitpipe import objects
from fruitpipe.errors import LeaseLost
from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.table import commits, delta, file_commits, upkeep
from fruitpipe.table.data_files import Writer
from fruitpipe.table.fence import Fence
from fruitpipe.table.snapshot import Snapshot

pytestmark = pytest.mark.lane

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def outcomes(*names, minute=0):
    features, at = np.zeros(1280, np.float32), NOON + timedelta(minutes=minute)
    fixed = {"label": "in", "features": features, "extractor": "e", "ingested_at": at, "outcome": "featurised"}
    return pa.Table.from_pylist([{"path": f"file:///in/{name}.jpg", **fixed} for name in names], OUTCOMES)


class Stream:
    """One of several writers, as the stream writes."""

    def __init__(self, spark, root):
        self.spark, self.root, self.fence = spark, root, Fence(root, lambda: None)

    def add(self, *names):
        files = {group.file for group in Writer(delta.folder(self.root), to_merge=False).write(outcomes(*names))}
        file_commits.add(self.root, files, self.fence)

    def merge(self, *names, minute=0):
        with commits.fenced(self.spark, self.fence):
            commits.merge(self.spark, self.root, self.spark.createDataFrame(outcomes(*names, minute=minute)), [NOON])

    def remove(self, *names):
        commits.remove(self.spark, self.root, [f"file:///in/{name}.jpg" for name in names], self.fence)


@pytest.fixture
def table(spark, root):
    delta.create(spark, root)
    return objects.canonical(root)


@pytest.fixture
def two(spark, table):
    """Both have seen the table's first row."""
    Stream(spark, table).add("0")
    return Stream(spark, table), Stream(spark, table)


def names(root):
    return sorted(objects.name(row["path"]).removesuffix(".jpg") for row in Snapshot(root).query("SELECT path FROM features"))


def test_one_writers_commits_follow_each_other_with_upkeep_in_between(spark, table):
    stream = Stream(spark, table)
    stream.add("0")
    stream.merge("0", "1")
    upkeep.compact(spark, table, 10**6)
    stream.add("2")
    stream.remove("0")
    upkeep.cut_log(spark, table, "a test")
    upkeep.cut_log(spark, table, "another")
    stream.add("3")
    Stream(spark, table).merge("4")
    assert names(table) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("first", ["add", "merge"])
@pytest.mark.parametrize("late", ["add", "merge"])
def test_a_commit_that_builds_on_rows_of_somebody_elses_is_refused(table, two, first, late):
    stream, stale = two
    getattr(stream, first)("1")
    with pytest.raises(LeaseLost, match="somebody else"):
        getattr(stale, late)("1")
    assert names(table) == ["0", "1"]
    getattr(stream, late)("2")
    assert names(table) == ["0", "1", "2"]


def test_an_append_that_was_begun_before_somebody_elses_is_refused(table, two, monkeypatch):
    stream, stale = two
    numbered, others = stale.fence.number_after, iter("1")

    def stopped(version):
        number = numbered(version)
        for name in others:  # while the other one stands still, within its commit
            stream.add(name)
        return number

    monkeypatch.setattr(stale.fence, "number_after", stopped)
    with pytest.raises(LeaseLost, match="somebody else changed rows after version 1; nothing more is written"):
        stale.add("1")
    assert names(table) == ["0", "1"]


def test_a_commit_that_comes_between_a_look_at_the_table_and_the_next_commit_stops_the_one_that_looked(table, two):
    stream, stale = two
    stale.add("1")  # it held the lease when it began; the table stands as it left it
    with pytest.raises(LeaseLost):
        stream.merge("1", minute=1)
    with pytest.raises(LeaseLost):
        stream.add("1")
    assert names(table) == ["0", "1"]


def test_rows_that_another_tool_wrote_are_somebody_elses(spark, table, two):
    stream, _ = two
    spark.sql(f"DELETE FROM {delta.in_sql(table)} WHERE path LIKE '%0.jpg'")
    with pytest.raises(LeaseLost):
        stream.add("1")
    assert names(table) == []


def test_an_append_goes_on_after_commits_that_change_no_row(spark, table, monkeypatch):
    """As a vacuum makes two beside the batches."""
    stream = Stream(spark, table)
    stream.add("0")
    numbered, others = stream.fence.number_after, iter([1, 2])

    def beside(version):
        number = numbered(version)
        for other in others:
            spark.sql(f"ALTER TABLE {delta.in_sql(table)} SET TBLPROPERTIES ('a.test' = '{other}')")
        return number

    monkeypatch.setattr(stream.fence, "number_after", beside)
    stream.add("1")
    assert names(table) == ["0", "1"]
    assert Snapshot(table).version == 4
    stream.merge("2")
    assert names(table) == ["0", "1", "2"]
