"""Features tables as tests and benchmarks want them: empty, or with rows that no image was featurised for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe.table import delta, first_commit, schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def append_rows(root: str, new: DataFrame) -> None:
    """Adds rows with the columns of FEATURES, of images that the table does not have: one commit, written by Spark."""
    new.select(*schema.COLUMNS).write.format("delta").mode("append").save(delta.features_uri(root))


def empty_table(root: str) -> None:
    """A features table without rows, made as the stream makes it, but without Spark."""
    first_commit.write(delta.folder(root), schema.FEATURES.json(), schema.PROPERTIES, datetime.now(UTC))
