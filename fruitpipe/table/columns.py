"""The features table's columns, as Delta's log has them, and its properties. What the columns are, the workers' schema says."""

from __future__ import annotations

import json

import pyarrow as pa

from fruitpipe.extractor import arrow_schema

TYPES: dict[pa.DataType, object] = {  # in Spark's JSON
    pa.string(): "string",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.timestamp("us", tz="UTC"): "timestamp",
    pa.list_(pa.float32()): {"type": "array", "elementType": "float", "containsNull": True},
}
NEVER_NULL = ("path", "label", "extractor", "ingested_at")
OUTCOMES = [
    {"name": field.name, "type": TYPES[field.type], "nullable": field.name not in NEVER_NULL, "metadata": {}}
    for field in arrow_schema.OUTCOMES
]
FEATURES = [column for column in OUTCOMES if column["name"] != "outcome"]
SCHEMA = json.dumps({"type": "struct", "fields": FEATURES}, separators=(",", ":"), sort_keys=True)  # as Spark writes it
COLUMNS = [str(column["name"]) for column in FEATURES]
PROPERTIES = {  # with those of `retention`
    "delta.enableChangeDataFeed": "true",  # the refit reads what changed, not the table
    "delta.enableDeletionVectors": "false",  # an erased row must leave its file, not be marked in it
    # Delta's default, 10, is for larger commits: a checkpoint takes a young Java 4 s, and a reader some ms for each commit since.
    "delta.checkpointInterval": "50",
    # Statistics of 1280 floats say nothing and would make each commit larger than its rows.
    "delta.dataSkippingStatsColumns": "path,label,modification_time,length,error,extractor,ingested_at",
}
