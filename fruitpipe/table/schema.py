"""The columns of the features table, and of the workers' outcomes, as Spark has them."""

from __future__ import annotations

from pyspark.sql import types as T  # noqa: N812 - Spark's own usage

from fruitpipe.table import columns

OUTCOMES = T.StructType.fromJson({"fields": columns.OUTCOMES})
FEATURES = T.StructType.fromJson({"fields": columns.FEATURES})
