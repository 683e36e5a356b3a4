"""Checks what the jobs need of the features table, its columns, properties and protocol, and gives the SQL that fixes each.

Somebody else's ALTER TABLE can change all of them. A table that needs a fix is refused at the start of a job, in one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import WrongRoot
from fruitpipe.table import retention
from fruitpipe.table.columns import COLUMNS, FEATURES
from fruitpipe.table.snapshot import Snapshot, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SET, UNSET = "ALTER TABLE {table} SET TBLPROPERTIES ('{key}' = '{value}')", "ALTER TABLE {table} UNSET TBLPROPERTIES ('{key}')"
DROP_FEATURE = "ALTER TABLE {table} DROP FEATURE {feature}"
# Property, in small letters as Delta compares them → as it is written, the value that it must have where it is set, and why.
WANTED = {
    "delta.enablechangedatafeed": ("delta.enableChangeDataFeed", "true", "a refit reads what changed"),
    "delta.enabledeletionvectors": ("delta.enableDeletionVectors", "false", "an erased row must leave its file"),
    "delta.appendonly": ("delta.appendOnly", "false", "rows are changed and removed"),
    "delta.columnmapping.mode": ("delta.columnMapping.mode", "none", "the workers write data files by the columns' names"),
    "delta.checkpointpolicy": ("delta.checkpointPolicy", "classic", "an erasure reads the checkpoint before it cuts the log"),
    "delta.checkpoint.writestatsasjson": (
        "delta.checkpoint.writeStatsAsJson",
        "true",
        "an erasure compares the checkpoint's numbers of rows before it cuts the log",
    ),
    "delta.randomizefileprefixes": ("delta.randomizeFilePrefixes", "false", "data files lie side by side"),
}
# The features of the protocol, of those that a reader has to know, which both readers of the table do.
KNOWN_FEATURES = {"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint"}


def check(table: Snapshot) -> None:
    """Raises WrongRoot with all that the table lacks for the jobs, and the statements that fix it."""
    if table.columns != COLUMNS:
        raise WrongRoot(f"{table.uri} has the columns {', '.join(table.columns)}, not fruitpipe's; give a --root of its own")
    faults = [*_of_types(table.types), *_of_partitions(table.partitions)]
    fixes = [*_of_properties(table.configuration), *_of_features(table.features)]
    if faults:
        raise WrongRoot(f"{table.uri}: {'; '.join(faults)}; go back to an earlier version of it (RESTORE TABLE)")
    if fixes:
        name = "delta.`{}`".format(objects.for_spark(table.uri).replace("`", "``"))
        raise WrongRoot(f"{table.uri}: " + "; ".join(f"{why}: {sql.replace('{table}', name)}" for why, sql in fixes))


def _of_types(types: Mapping[str, str]) -> Iterator[str]:
    for column, wanted in zip(COLUMNS, FEATURES, strict=True):
        if types[column] != (expected := type_name(wanted["type"])):
            yield f"the column {column} is {types[column]}, not {expected}"


def _of_partitions(partitions: list[str]) -> Iterator[str]:
    if partitions:
        yield f"the table is partitioned by {', '.join(partitions)}"


def _of_properties(configuration: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Why each property breaks the product, and the SQL that fixes it."""
    there = {key.lower(): (key, value) for key, value in configuration.items()}
    for key, (name, wanted, why) in WANTED.items():
        value = there.get(key, (name, "" if name == "delta.enableChangeDataFeed" else wanted))[1]
        if value.lower() != wanted:
            yield f"{name} is {value or 'not set'}, but {why}", SET.replace("{key}", name).replace("{value}", wanted)
    for key, value in configuration.items():
        if key.startswith("delta.constraints."):
            constraint = key.removeprefix("delta.constraints.")
            yield f"a constraint may refuse rows ({value})", f"ALTER TABLE {{table}} DROP CONSTRAINT {constraint}"
    kept = there.get("delta.deletedfileretentionduration")
    if kept and (hours := retention.in_hours(kept[1])) is not None and hours < retention.WEEK_HOURS:
        yield f"{kept[0]} is {kept[1]}, so readers lose files before --vacuum-hours", UNSET.replace("{key}", kept[0])


def _of_features(features: set[str]) -> Iterator[tuple[str, str]]:
    for feature in sorted(features - KNOWN_FEATURES):
        yield f"not all readers of the table know its feature {feature}", DROP_FEATURE.replace("{feature}", feature)
