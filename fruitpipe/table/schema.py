"""The features table's columns and properties."""

from __future__ import annotations

from pyspark.sql import types as T  # noqa: N812 - Spark's own usage

FEATURES = T.StructType(
    [
        T.StructField("path", T.StringType(), nullable=False),
        T.StructField("label", T.StringType(), nullable=False),
        T.StructField("modification_time", T.TimestampType()),
        T.StructField("length", T.LongType()),
        T.StructField("etag", T.StringType()),
        T.StructField("sha256", T.StringType()),
        T.StructField("width", T.IntegerType()),
        T.StructField("height", T.IntegerType()),
        T.StructField("features", T.ArrayType(T.FloatType())),
        T.StructField("error", T.StringType()),
        T.StructField("error_message", T.StringType()),
        T.StructField("extractor", T.StringType(), nullable=False),
        T.StructField("ingested_at", T.TimestampType(), nullable=False),
    ]
)
COLUMNS = FEATURES.fieldNames()
OUTCOMES = T.StructType([*FEATURES.fields, T.StructField("outcome", T.StringType())])  # what `featurise` says of each image
PROPERTIES = {
    "delta.enableChangeDataFeed": "true",  # the refit reads what changed, not the table
    "delta.enableDeletionVectors": "false",  # an erased row must leave its file, not be marked in it
    # Delta's default, 10, is for larger commits: a checkpoint takes a young Java 4 s, and a reader some ms for each commit since.
    "delta.checkpointInterval": "50",
    # Delta's 30 days are 90,000 files of two commits a minute, and on S3 each reading of the log lists them all. The files that
    # the change feed needs go after a week (`--vacuum-hours`), so a longer log would tell a refit nothing.
    "delta.logRetentionDuration": "interval 7 days",
    # Statistics of 1280 floats say nothing and would make each commit larger than its rows.
    "delta.dataSkippingStatsColumns": "path,label,modification_time,length,error,extractor,ingested_at",
}
ADDED_SINCE = ("delta.logRetentionDuration",)  # which a table of an earlier version is given at the next start
