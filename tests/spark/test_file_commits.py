"""Commits by deltalake beside Delta's own in Spark: each reads what the other wrote, and neither loses what the other keeps."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from fruitpipe import objects
from fruitpipe.table import commits, delta, file_commits, log_files, upkeep
from fruitpipe.table.data_files import Writer
from fruitpipe.table.fence import Fence
from fruitpipe.table.snapshot import Snapshot
from tests.pictures import fill
from tests.spark.test_fence import NOON, outcomes

pytestmark = pytest.mark.lane


@pytest.fixture
def table(spark, root):
    """A table of appends, a merge, a compaction and a removal, in turns, and of a file that is not needed any more."""
    delta.create(spark, root)
    fence = Fence(root, lambda: None)

    def add(*names):
        groups = Writer(delta.folder(root), to_merge=False).write(outcomes(*names))
        file_commits.add(root, [group.file for group in groups], fence, {"featurised": len(names)})

    add("0", "1")
    with commits.fenced(spark, fence):
        commits.merge(spark, root, spark.createDataFrame(outcomes("1", "2", minute=1)), [NOON])
    add("3")
    upkeep.compact(spark, root, 1_000_000)
    add("p\N{LATIN SMALL LETTER E WITH CIRCUMFLEX}che 4")
    commits.remove(spark, root, ["file:///in/0.jpg"], fence)
    add("5")
    return objects.canonical(root)


def copied(root, name):
    """The table at another place, which Delta's session has not seen yet."""
    source = Path(root.removeprefix("file://"))
    shutil.copytree(source, source.with_name(name))
    return f"file://{source.with_name(name)}"


def state(root):
    """What the newest checkpoint of the table says: the actions of each kind."""
    (file,) = Path(root.removeprefix("file://")).glob("features/_delta_log/*.checkpoint.parquet")
    actions = {}
    for row in pq.read_table(file).to_pylist():
        for kind, value in row.items():
            actions.setdefault(kind, []).extend([value] if value else [])
    return actions


def rows(spark, root):
    return sorted((row["path"], row["ingested_at"]) for row in delta.rows(spark, root).collect())


def test_a_checkpoint_says_what_deltas_own_of_the_same_table_does(spark, table):
    file_commits.checkpoint(table)
    ours, copy = state(table), copied(table, "copy")
    for left in Path(copy.removeprefix("file://")).glob("features/_delta_log/*checkpoint*"):
        left.unlink()
    spark.sql(f"ALTER TABLE {delta.in_sql(copy)} SET TBLPROPERTIES ('delta.checkpointInterval' = '1')")  # with a checkpoint
    deltas = state(copy)
    kept = {
        "add": lambda add: (add["path"], add["size"], add["modificationTime"], add["partitionValues"], json.loads(add["stats"])),
        "remove": lambda gone: (gone["path"], gone["size"], gone["deletionTimestamp"]),
        "txn": lambda txn: (txn["appId"], txn["version"]),
        "protocol": lambda protocol: (protocol["minWriterVersion"], sorted(protocol["writerFeatures"])),
        "metaData": lambda found: (
            found["id"],
            json.loads(found["schemaString"]),
            found["partitionColumns"],
            found["createdTime"],
        ),
    }
    for kind, told in kept.items():
        by_path = [sorted(map(told, actions[kind]), key=str) for actions in (ours, deltas)]
        assert by_path[0] == by_path[1], kind
    assert {kind for kind, actions in ours.items() if actions} == {kind for kind, actions in deltas.items() if actions}


def test_the_change_feed_tells_of_both_ones_commits(spark, table):
    sign = F.when(F.col("_change_type").isin("insert", "update_postimage"), 1).otherwise(-1)
    changes = delta.changes(spark, table, 0, Snapshot(table).version).groupBy("path").agg(F.sum(sign).alias("rows"))
    net = {row["path"]: row["rows"] for row in changes.collect()}
    assert net == {"file:///in/0.jpg": 0} | dict.fromkeys((path for path, _ in rows(spark, table)), 1)
    assert len(net) == 6


def test_delta_reads_and_writes_on_from_such_a_checkpoint_alone(spark, table):
    before = rows(spark, table)
    file_commits.checkpoint(table)
    for uri in log_files.before(delta.folder(table), Snapshot(table).version):
        objects.delete(uri)
    copy = copied(table, "alone")
    assert rows(spark, copy) == before
    fence = Fence(copy, lambda: None)
    commits.remove(spark, copy, ["file:///in/5.jpg"], fence)
    upkeep.compact(spark, copy, 1_000_000)
    upkeep.vacuum(spark, copy, 0, datetime.now(UTC) + timedelta(seconds=1))
    groups = Writer(delta.folder(copy), to_merge=False).write(outcomes("6"))
    file_commits.add(copy, [group.file for group in groups], fence)
    assert [path for path, _ in rows(spark, copy)] == [f"file:///in/{name}.jpg" for name in ("1", "2", "3", "6", "p\xeache 4")]


def test_delta_reads_a_checkpoint_that_took_the_place_of_its_own(spark, table):
    """Hadoop keeps a checksum beside each file that it writes, and moves one away that has another."""
    before = rows(spark, table)
    spark.sql(f"ALTER TABLE {delta.in_sql(table)} SET TBLPROPERTIES ('delta.checkpointInterval' = '1')")  # with a checkpoint
    log = Path(table.removeprefix("file://")) / "features" / "_delta_log"
    sums = [log / f".{name}.crc" for name in (log_files.LAST_CHECKPOINT, f"{Snapshot(table).version:020}.checkpoint.parquet")]
    assert all(file.exists() for file in sums)
    file_commits.checkpoint(table)
    assert not any(file.exists() for file in sums)
    for uri in log_files.before(delta.folder(table), Snapshot(table).version):
        objects.delete(uri)
    assert rows(spark, copied(table, "replaced")) == before


def test_new_rows_are_merged_into_a_table_with_features_that_deltalake_does_not_know(spark, images, root, run, by_uri):
    fill(images, 2)
    run()
    spark.sql(f"ALTER TABLE {delta.in_sql(root)} SET TBLPROPERTIES ('delta.feature.domainMetadata' = 'supported')")
    fill(images, 2, first=2)
    assert run() == "ingest: 2 images featurised, 0 failed"
    assert len(by_uri()) == 4
    assert Snapshot(root).batches()[0].outcomes == {"featurised": 2}
    parquet = {objects.name(stat.path) for stat in objects.list_all(delta.folder(root)) if stat.path.endswith(".parquet")}
    assert parquet >= {file.path for file in Snapshot(root).files()}
