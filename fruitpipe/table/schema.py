"""The features table's columns, as Spark has them, and its properties. What the columns are, the workers' schema says."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import types as T  # noqa: N812 - Spark's own usage

from fruitpipe.extractor import arrow_schema

TYPES: dict[pa.DataType, T.DataType] = {
    pa.string(): T.StringType(),
    pa.int32(): T.IntegerType(),
    pa.int64(): T.LongType(),
    pa.timestamp("us", tz="UTC"): T.TimestampType(),
    pa.list_(pa.float32()): T.ArrayType(T.FloatType()),
}
NEVER_NULL = ("path", "label", "extractor", "ingested_at")
OUTCOMES = T.StructType(
    [T.StructField(field.name, TYPES[field.type], nullable=field.name not in NEVER_NULL) for field in arrow_schema.OUTCOMES]
)
FEATURES = T.StructType([field for field in OUTCOMES if field.name != "outcome"])
COLUMNS = FEATURES.fieldNames()
PROPERTIES = {  # with those of `retention`
    "delta.enableChangeDataFeed": "true",  # the refit reads what changed, not the table
    "delta.enableDeletionVectors": "false",  # an erased row must leave its file, not be marked in it
    # Delta's default, 10, is for larger commits: a checkpoint takes a young Java 4 s, and a reader some ms for each commit since.
    "delta.checkpointInterval": "50",
    # Statistics of 1280 floats say nothing and would make each commit larger than its rows.
    "delta.dataSkippingStatsColumns": "path,label,modification_time,length,error,extractor,ingested_at",
}
