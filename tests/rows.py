"""Features tables as tests and benchmarks want them: empty, or with rows that no image was featurised for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import DeltaTable

from fruitpipe import objects
from fruitpipe.extractor import arrow_schema
from fruitpipe.table import columns, data_files, delta, first_commit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame


def append_rows(root: str, new: DataFrame) -> None:
    """Adds rows with the columns of FEATURES, of images that the table does not have: one commit, written by Spark."""
    new.select(*columns.COLUMNS).write.format("delta").mode("append").save(delta.features_uri(root))


def empty_table(root: str) -> None:
    """A features table without rows, made as the stream makes it, but without Spark."""
    first_commit.write(delta.folder(root), columns.SCHEMA, columns.PROPERTIES, datetime.now(UTC))


def put_rows(root: str, stats: Iterable[objects.Stat], version: int = 1, error: str | None = None, extractor: str = "e") -> None:
    """Adds, as a version of the table, rows of these objects, without features and without Spark."""
    fixed = {"error": error, "extractor": extractor, "ingested_at": datetime.now(UTC)}
    seen = [{"path": stat.path, "label": _folder(stat.path), "etag": stat.etag, "length": stat.length, **fixed} for stat in stats]
    add = data_files._add(delta.folder(root), pa.Table.from_pylist(seen, arrow_schema.OUTCOMES).drop_columns("outcome"))
    objects.write(delta.file_uri(root, f"_delta_log/{version:020}.json"), add.encode())


def by_uri(root: str) -> dict[str, dict[str, Any]]:
    """The table's rows by the image's URI, as deltalake reads them: that costs a tenth of what Spark takes for it."""
    return {row["path"]: row for row in DeltaTable(f"{root}/features").to_pyarrow_table().to_pylist()}


def _folder(path: str) -> str:
    return path.split("/")[-2]
