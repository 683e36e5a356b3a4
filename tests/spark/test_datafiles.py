"""Data files that workers wrote, in a table of Delta's: beside files that Spark writes, and for Delta's other readers."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from delta.tables import DeltaTable as DeltaLog
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fruitpipe import objects
from fruitpipe.errors import Damaged, PlatformFault, WrongRoot
from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.runtime.session import SPARK_ERRORS
from fruitpipe.table import columns, commits, delta, file_commits, lookup, retention, schema, upkeep
from fruitpipe.table.data_files import Writer, uri
from fruitpipe.table.snapshot import Snapshot
from tests.rows import append_rows

pytestmark = pytest.mark.lane

NOON = datetime(2026, 3, 1, 12, 0, 0, 0, UTC)


def outcomes(first, count):
    """Featurised images, whose names, sizes and times differ; every fifth is no picture."""
    rows = []
    for number in range(first, first + count):
        bad = number % 5 == 0
        rows.append(
            {
                "path": f"file:///in/{number:03}.jpg",
                "label": "in",
                "modification_time": NOON + timedelta(seconds=number),
                "length": number,
                "features": None if bad else np.random.default_rng(number).random(1280, np.float32),
                "error": "not-an-image" if bad else None,
                "extractor": "e",
                "ingested_at": NOON + timedelta(minutes=number),
                "outcome": "failed" if bad else "featurised",
            }
        )
    return pa.Table.from_pylist(rows, OUTCOMES)


def written(root, first, count):
    groups = Writer(delta.folder(root), to_merge=False).write(outcomes(first, count))
    return {group.file for group in groups}


def path_of(uri):
    return Path(objects.canonical(uri).removeprefix("file://"))


def last_statistics(root):
    """What Delta's log says of the files of its latest commit."""
    log = max(Path(root.removeprefix("file://"), "features", "_delta_log").glob("*.json"))
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    return [json.loads(action["add"]["stats"]) for action in actions if "add" in action]


@pytest.fixture
def table(spark, root):
    delta.create(spark, root)
    return objects.canonical(root)


def test_the_workers_that_an_rdd_starts_are_those_that_sql_finds(spark):
    """Else Spark would start as many once more, for the first batch, and those that were started early would be for nothing."""
    cores = spark.sparkContext.defaultParallelism

    def daemon(_):
        yield pa.RecordBatch.from_pydict({"pid": [os.getppid()]})

    started = set(spark.sparkContext.parallelize(range(cores), cores).mapPartitions(lambda _: [os.getppid()]).collect())
    assert started == {row.pid for row in spark.range(cores, numPartitions=cores).mapInArrow(daemon, "pid long").collect()}


def log_of(folder):
    """What the log of a table with one version says of it, without names and times."""
    first = Path(folder, "_delta_log", f"{0:020}.json")
    said = {name: action for line in first.read_text().splitlines() for name, action in json.loads(line).items()}
    del said["commitInfo"]
    metadata = said["metaData"]
    metadata["schemaString"] = json.loads(metadata["schemaString"])
    del metadata["id"], metadata["createdTime"]
    return said


def test_a_new_table_is_the_one_that_delta_itself_makes_with_these_properties(spark, root, tmp_path):
    delta.create(spark, root)
    builder = DeltaLog.create(spark).location(str(tmp_path / "deltas")).addColumns(schema.FEATURES)
    for key, value in (columns.PROPERTIES | retention.lacking({}, 168)).items():
        builder = builder.property(key, value)
    builder.execute()
    assert log_of(delta.folder(root).removeprefix("file://")) == log_of(tmp_path / "deltas")


def test_a_table_is_made_where_a_log_was_begun_and_has_no_commit(spark, root):
    objects.write(objects.join(delta.folder(root), "_delta_log", ".left.tmp"), b"")
    delta.create(spark, root)
    assert delta.rows(spark, root).count() == 0


@pytest.mark.parametrize(
    ("left", "error", "said"),
    [
        ("part-0.parquet", WrongRoot, "as after half a restore"),
        (f"_delta_log/{7:020}.json", Damaged, f"_delta_log/{0:020}.json: is missing from the table's log; restore it"),
    ],
)
def test_no_new_table_is_made_over_what_is_left_of_one(spark, root, left, error, said):
    objects.write(objects.join(delta.folder(root), "_delta_log", ".left.tmp"), b"")
    objects.write(objects.join(delta.folder(root), left), b"left")
    with pytest.raises(error, match=said):
        delta.create(spark, root)
    assert objects.read(objects.join(delta.folder(root), left)) == b"left"


def test_the_statements_that_are_given_mend_a_table_that_others_have_changed(spark, table):
    file_commits.add(table, written(table, 0, 3))
    others = ["delta.appendOnly=true", "delta.enableChangeDataFeed=false", "delta.enableDeletionVectors=true"]
    others += [
        "delta.columnMapping.mode=name",
        "delta.checkpointPolicy=v2",
        "delta.deletedFileRetentionDuration=interval 1 hours",
    ]
    properties = ", ".join("'{}'='{}'".format(*one.split("=")) for one in others)
    spark.sql(f"ALTER TABLE {delta.in_sql(table)} SET TBLPROPERTIES ({properties})")
    spark.sql(f"ALTER TABLE {delta.in_sql(table)} ADD CONSTRAINT large CHECK (length >= 0)")
    spark.sql(f"ALTER TABLE {delta.in_sql(table)} SET TBLPROPERTIES ('delta.enableTypeWidening'='true')")
    with pytest.raises(WrongRoot) as refused:
        delta.create(spark, table)
    statements = re.findall(r"ALTER TABLE .*?(?=; |$)", str(refused.value))
    assert len(statements) == len(others) + 2, statements
    for statement in statements:
        spark.sql(statement)
    delta.create(spark, table)
    commits.remove(spark, table, ["file:///in/001.jpg"])
    assert delta.rows(spark, table).count() == 2


def test_a_table_of_an_earlier_version_is_given_the_properties_that_came_since(spark, table):
    spark.sql(f"ALTER TABLE {delta.in_sql(table)} UNSET TBLPROPERTIES ('delta.logRetentionDuration')")
    assert not delta.is_ours(table)
    delta.create(spark, table)
    assert Snapshot(table).configuration["delta.logRetentionDuration"] == "interval 7 days"
    assert delta.is_ours(table)


def no_room(*_):
    raise DeltaError("no space left on device")


def test_a_log_whose_checkpoint_fails_is_not_cut(spark, table, monkeypatch):
    for first in (0, 10):
        file_commits.add(table, written(table, first, 10))
    with monkeypatch.context() as full:
        full.setattr(DeltaTable, "create_checkpoint", no_room)
        with pytest.raises(PlatformFault, match=r"a checkpoint of the table's log cannot be written .*; nothing of the log "):
            upkeep.cut_log(spark, table, "test")
    assert delta.rows(spark, table).count() == Snapshot(table).query("SELECT count(*) AS rows FROM features")[0]["rows"] == 20
    assert upkeep.cut_log(spark, table, "test") > 3
    assert Snapshot(table).query("SELECT count(*) AS rows FROM features")[0]["rows"] == 20


def test_the_log_says_of_a_file_what_delta_says_of_the_same_rows(spark, table):
    file_commits.add(table, written(table, 1, 20))
    (ours,) = last_statistics(table)
    append_rows(table, delta.rows(spark, table).coalesce(1))
    (deltas,) = last_statistics(table)
    for times in ("modification_time", "ingested_at"):  # written with another offset: +00:00 or Z
        for bounds in (ours["minValues"], ours["maxValues"], deltas["minValues"], deltas["maxValues"]):
            bounds[times] = datetime.fromisoformat(bounds[times])
    assert ours["numRecords"] == deltas["numRecords"] == 20
    assert ours["minValues"] == deltas["minValues"]
    assert ours["maxValues"] == deltas["maxValues"]
    assert ours["nullCount"].items() <= deltas["nullCount"].items()


def test_rows_that_workers_wrote_are_found_by_spark_and_by_other_readers(spark, table):
    file_commits.add(table, written(table, 0, 10))
    file_commits.add(table, written(table, 10, 10) | written(table, 20, 10))
    expected = pa.concat_tables([outcomes(first, 10) for first in (0, 10, 20)]).drop_columns("outcome").to_pylist()
    folder = delta.folder(table).removeprefix("file://")
    for rows in (delta.rows(spark, table).toArrow(), pa.table(DeltaTable(folder).to_pyarrow_table())):
        assert rows.sort_by("path").select(OUTCOMES.names[:-1]).to_pylist() == expected
    assert set(lookup.of_paths(table, ["file:///in/013.jpg", "file:///in/100.jpg"])) == {"file:///in/013.jpg"}


def test_a_merge_opens_no_file_of_what_was_ingested_at_other_times(spark, table, tmp_path):
    file_commits.add(table, written(table, 0, 10))
    file_commits.add(table, written(table, 100, 10))
    first = path_of(min(delta.rows(spark, table).inputFiles(), key=lambda file: path_of(file).stat().st_mtime_ns))
    before = {row["path"]: row for row in delta.rows(spark, table).collect()}
    first.rename(tmp_path / "aside")
    changed = outcomes(103, 1).set_column(3, OUTCOMES.field("length"), pa.array([7], pa.int64()))
    with pytest.raises(SPARK_ERRORS, match="FILE_NOT_EXIST"):
        commits.merge(spark, table, spark.createDataFrame(changed), [NOON, NOON + timedelta(minutes=103)])
    commits.merge(spark, table, spark.createDataFrame(changed), [NOON + timedelta(minutes=103)])
    (tmp_path / "aside").rename(first)
    after = {row["path"]: row for row in delta.rows(spark, table).collect()}
    assert (after.pop("file:///in/103.jpg")["length"], before.pop("file:///in/103.jpg")["length"]) == (7, 103)
    assert after == before


def test_the_log_keeps_what_a_merge_brought_as_its_files_hold_the_rows_beside_it(spark, table):
    file_commits.add(table, written(table, 0, 10))  # two of them failed
    changed = outcomes(3, 3)
    commits.merge(spark, table, spark.createDataFrame(changed), counts={"featurised": 2, "failed": 1})
    commits.merge(spark, table, spark.createDataFrame(changed))
    logs = sorted(path_of(f"{delta.folder(table)}/_delta_log").glob("*.json"))[-3:]
    infos = [json.loads(path.read_text().splitlines()[0])["commitInfo"] for path in logs]
    assert [json.loads(info.get("userMetadata") or "{}") for info in infos] == [{}, {"featurised": 2, "failed": 1}, {}]


def test_a_merge_finds_rows_of_any_times(spark, table):
    for first in range(0, 60, 10):  # more spans than a merge tells apart
        file_commits.add(table, written(table, first, 10))
    gone = outcomes(0, 60).filter(pc.equal(pc.bit_wise_and(pc.field("length"), 3), 0))
    gone = gone.set_column(OUTCOMES.get_field_index("outcome"), OUTCOMES.field("outcome"), pa.array(["gone"] * len(gone)))
    ingested = [row.ingested_at for row in lookup.of_paths(table, gone["path"].to_pylist()).values()]
    commits.merge(spark, table, spark.createDataFrame(gone), ingested)
    assert sorted(row["length"] for row in delta.rows(spark, table).collect()) == [at for at in range(60) if at % 4]


def test_a_merge_finds_a_row_ingested_between_two_milliseconds_in_a_file_of_deltas(spark, table):
    """The log has milliseconds only, and it is Delta's readers that have to allow for it."""
    at = NOON + timedelta(microseconds=1999)
    row = outcomes(1, 1).set_column(OUTCOMES.get_field_index("ingested_at"), OUTCOMES.field("ingested_at"), pa.array([at]))
    append_rows(table, spark.createDataFrame(row))
    assert lookup.of_paths(table, row["path"].to_pylist())["file:///in/001.jpg"].ingested_at == at
    gone = row.set_column(OUTCOMES.get_field_index("outcome"), OUTCOMES.field("outcome"), pa.array(["gone"]))
    commits.merge(spark, table, spark.createDataFrame(gone), [at])
    assert delta.rows(spark, table).count() == 0


def test_a_row_of_another_extractor_that_stays_keeps_all_and_says_why_and_no_new_row_comes(spark, table):
    file_commits.add(table, written(table, 1, 2))
    before = {row["path"]: row.asDict() for row in delta.rows(spark, table).collect()}
    said = {
        "label": "in",
        "extractor": "new",
        "ingested_at": NOON,
        "outcome": "stale",
        "error": "archived",
        "error_message": "in ice",
    }
    stale = pa.Table.from_pylist([said | {"path": f"file:///in/{name}.jpg"} for name in ("001", "new")], OUTCOMES)
    groups = Writer(delta.folder(table), to_merge=True).write(stale)
    files = commits.outcomes(spark, [uri(delta.folder(table), groups[0].file)])
    commits.merge(spark, table, files, [before["file:///in/001.jpg"]["ingested_at"]])
    after = {row["path"]: row.asDict() for row in delta.rows(spark, table).collect()}
    before["file:///in/001.jpg"]["error_message"] = "archived: in ice"
    assert after == before


def test_what_is_to_go_goes_though_a_path_had_two_rows(spark, table):
    """Of different times, of which a lookup tells one."""
    file_commits.add(table, written(table, 0, 3))
    later = pa.array([NOON + timedelta(days=1)] * 3)
    again = outcomes(0, 3).set_column(OUTCOMES.get_field_index("ingested_at"), OUTCOMES.field("ingested_at"), later)
    file_commits.add(table, {group.file for group in Writer(delta.folder(table), to_merge=False).write(again)})
    assert commits.remove(spark, table, ["file:///in/001.jpg"]) == 1
    left = sorted(row["path"] for row in delta.rows(spark, table).collect())
    assert left == [f"file:///in/{at:03}.jpg" for at in (0, 0, 2, 2)]


def test_rows_are_looked_up_whatever_their_names(table, monkeypatch):
    names = ["it's.jpg", "p\u00eache.jpg", "a, b (1).jpg", "'); --.jpg", "back\\slash.jpg", "new\nline.jpg", "%41.jpg", '"q".jpg']
    rows = outcomes(1, len(names)).set_column(0, OUTCOMES.field("path"), pa.array([f"file:///in/{name}" for name in names]))
    file_commits.add(table, {group.file for group in Writer(delta.folder(table), to_merge=False).write(rows)})
    for asked in ([path] for path in rows["path"].to_pylist()):
        assert list(lookup.of_paths(table, asked)) == asked
    everything = rows["path"].to_pylist()
    assert set(lookup.of_paths(table, [*everything, *(f"{path}x" for path in everything)])) == set(everything)
    row = lookup.of_paths(table, [everything[3]])[everything[3]]
    assert (row.length, row.ingested_at, row.extractor, row.error) == (4, NOON + timedelta(minutes=4), "e", None)
    assert lookup.of_paths(table, []) == {}
    monkeypatch.setattr(lookup, "NAMES", 3)
    assert set(lookup.of_paths(table, everything)) == set(everything)


def test_the_latest_good_images_are_found(table):
    file_commits.add(table, written(table, 0, 10))
    file_commits.add(table, written(table, 10, 3))
    assert lookup.good_paths(table, 3, ["file:///in/011.jpg"]) == [f"file:///in/{at:03}.jpg" for at in (12, 9, 8)]
    assert lookup.good_paths(table, 9, [f"file:///in/{at:03}.jpg" for at in range(1, 13)]) == []


def test_they_are_inserts_to_the_change_feed(spark, table):
    file_commits.add(table, written(table, 0, 10))
    before = delta.describe(table).version
    file_commits.add(table, written(table, 10, 3))
    changed = delta.changes(spark, table, before, delta.describe(table).version).select("path", "_change_type").collect()
    assert sorted(map(tuple, changed)) == [(f"file:///in/01{number}.jpg", "insert") for number in range(3)]


def test_a_file_that_no_commit_names_is_no_row_and_goes_with_the_old_files(spark, table):
    file_commits.add(table, written(table, 0, 10))
    written(table, 10, 10)
    assert delta.rows(spark, table).count() == 10
    upkeep.vacuum(spark, table, 0, datetime.now(UTC))
    assert len([name for name in objects.children(delta.folder(table)) if name.endswith(".parquet")]) == 1
    assert delta.rows(spark, table).count() == 10


def test_files_are_added_by_a_write_that_appends_and_none_by_no_commit(spark, table):
    file_commits.add(table, written(table, 0, 10))
    file_commits.add(table, [])
    first, created = DeltaLog.forPath(spark, delta.features_uri(table)).history().collect()
    assert (first["operation"], first["operationParameters"]["mode"]) == ("WRITE", "Append")
    assert created["version"] == 0


def test_small_files_are_those_of_the_table_and_not_what_merely_lies_there(spark, table):
    assert Snapshot(table).small_files(1_000_000) == 0
    files = [*written(table, 0, 10), *written(table, 10, 20), *written(table, 30, 30)]
    sizes = [Path(uri(delta.folder(table), file).removeprefix("file://")).stat().st_size for file in files]
    file_commits.add(table, files)
    written(table, 60, 10)
    assert [Snapshot(table).small_files(size) for size in sizes] == [0, 1, 2]
    upkeep.compact(spark, table, small_bytes=sizes[-1])
    assert Snapshot(table).small_files(1_000_000) == 2, "the two smaller ones, packed, and the one that was large enough"
