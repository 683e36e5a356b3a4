"""Rows that no image was featurised for, as tests and benchmarks bring them into the features table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fruitpipe import tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def append_rows(root: str, new: DataFrame) -> None:
    """Adds rows with the columns of FEATURES, of images that the table does not have: one commit, written by Spark."""
    new.select(*tables.COLUMNS).write.format("delta").mode("append").save(tables.features_uri(root))
