"""What a table must be like, seen in the logs of tables that others have changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fruitpipe import objects
from fruitpipe.errors import WrongRoot
from fruitpipe.table import delta, first_commit, requirements
from fruitpipe.table.columns import PROPERTIES, SCHEMA
from fruitpipe.table.snapshot import Snapshot


@pytest.fixture
def checked(tmp_path):
    def checked(columns=None, **properties):
        """What is said of a new table with other columns or properties; None takes one away."""
        root = f"file://{tmp_path}/root"
        given = {key: value for key, value in (PROPERTIES | properties).items() if value is not None}
        first_commit.write(delta.folder(root), json.dumps(columns) if columns else SCHEMA, given, datetime.now(UTC))
        requirements.check(Snapshot(root))

    return checked


def test_a_table_as_the_stream_makes_it_is_well(checked):
    checked()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("delta.appendOnly", "true", "SET TBLPROPERTIES ('delta.appendOnly' = 'false')"),
        ("delta.enableChangeDataFeed", None, "SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"),
        ("delta.enableDeletionVectors", "true", "SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')"),
        ("delta.checkpoint.writeStatsAsJson", "false", "SET TBLPROPERTIES ('delta.checkpoint.writeStatsAsJson' = 'true')"),
        ("delta.columnMapping.mode", "id", "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')"),
        ("delta.deletedFileRetentionDuration", "interval 1 day", "UNSET TBLPROPERTIES ('delta.deletedFileRetentionDuration')"),
        ("delta.constraints.small", "length < 9", "DROP CONSTRAINT small"),
    ],
)
def test_a_property_that_breaks_the_jobs_is_told_with_the_statement_that_mends_it(checked, tmp_path, key, value, said):
    with pytest.raises(WrongRoot) as refused:
        checked(**{key: value})
    (_, statement) = str(refused.value).rsplit(": ", 1)
    assert statement == f"ALTER TABLE delta.`file:{tmp_path}/root/features` {said}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("delta.deletedFileRetentionDuration", "interval 2 weeks"),
        ("delta.logRetentionDuration", None),
        ("fruitpipe.log_cut_by", "x"),
    ],
)
def test_properties_that_break_nothing_are_let_be(checked, key, value):
    checked(**{key: value})


def test_a_feature_that_the_reader_without_spark_does_not_know_is_told_with_the_statement_that_drops_it(checked, tmp_path):
    checked()
    root = f"file://{tmp_path}/root"
    protocol = first_commit.PROTOCOL | {"minReaderVersion": 3, "readerFeatures": ["typeWidening"]}
    protocol["writerFeatures"] = [*first_commit.PROTOCOL["writerFeatures"], "typeWidening"]
    objects.write(delta.file_uri(root, f"_delta_log/{1:020}.json"), json.dumps({"protocol": protocol}).encode())
    with pytest.raises(WrongRoot, match=r"know its feature typeWidening: ALTER TABLE .* DROP FEATURE typeWidening$"):
        requirements.check(Snapshot(root))


def test_a_column_of_another_type_is_told(checked):
    columns = json.loads(SCHEMA)
    columns["fields"][3]["type"] = "integer"
    with pytest.raises(WrongRoot, match="the column length is integer, not long; go back to an earlier version"):
        checked(columns)


def test_other_columns_are_another_table(checked):
    with pytest.raises(WrongRoot, match="has the columns id, not fruitpipe's; give a --root of its own"):
        checked({"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]})


@pytest.mark.parametrize("feature", sorted(requirements.KNOWN_FEATURES))
def test_a_table_with_a_feature_that_passes_can_be_read_without_spark(checked, tmp_path, monkeypatch, feature):
    features = {"minReaderVersion": 3, "readerFeatures": [feature]}
    monkeypatch.setattr(
        first_commit, "PROTOCOL", first_commit.PROTOCOL | features | {"writerFeatures": [feature, "changeDataFeed"]}
    )
    checked()
    assert Snapshot(f"file://{tmp_path}/root").query("SELECT path FROM features") == []
