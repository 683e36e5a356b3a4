"""Parquet files that the Python workers read and write themselves, so that their floats never pass through Spark's rows.

Measured at 1280 floats a row: Spark takes 81 µs to bring a row from a file to Python, pyarrow 9; and 30 against 3 to write one of
437. Spark still decides what is read (the files of a table's version), in which tasks, and what is done again after a failure.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.reduction.moments import BLOCK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyspark.sql import DataFrame, SparkSession

# What a worker holds at a time: a file, and what becomes of it. Larger ones are for Spark, which reads them in pieces.
LARGEST_BYTES = 256_000_000
# A task sums up or reduces about 25,000 rows: long against what starting it and merging its sum take, short against losing it.
TASK_BYTES = 128_000_000
OPTIONS: Any = {  # of Parquet; the stub knows a dictionary for all columns or for none
    "compression": "zstd",  # 7 % smaller than snappy, and read as fast by all
    "compression_level": 1,
    "use_dictionary": ["label"],
    "write_page_checksum": True,
}
NAMES_IT = "fruitpipe doctor --root ROOT --verify names what is lost and how to repair it"


class File(NamedTuple):
    """A Parquet file, by its URI, and its size in bytes."""

    uri: str
    length: int


def listed(uri: str) -> list[File]:
    """The Parquet files below `uri`."""
    return [File(stat.path, stat.length) for stat in objects.list_all(uri) if is_data(objects.name(stat.path))]


def is_data(name: str) -> bool:
    """Whether a file of this name holds rows; hidden ones are Spark's or the file system's."""
    return name.endswith(".parquet") and not name.startswith((".", "_"))


def tasks(spark: SparkSession, files: Sequence[File]) -> tuple[DataFrame, list[list[str]]]:
    """A DataFrame of one number in each partition, and by that number the URIs of the files that the task is to read."""
    count = min(len(files), max(spark.sparkContext.defaultParallelism, -(-sum(file.length for file in files) // TASK_BYTES)))
    shares = shared(files, count)
    return spark.range(0, len(shares), numPartitions=max(1, len(shares))).toDF("task"), shares


def shared(files: Sequence[File], count: int) -> list[list[str]]:
    """The URIs of `files` in `count` shares of about the same size: the largest first, each to the smallest share."""
    shares: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sorted(files, key=lambda file: (-file.length, file.uri)):
        smallest = sizes.index(min(sizes))
        shares[smallest].append(file.uri)
        sizes[smallest] += file.length
    return shares


def read(
    numbers: Iterable[pa.RecordBatch], shares: list[list[str]], column: str, extractors: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Runs in the Python workers: numbers of tasks to batches of path, label and `column`, without the rows where that is null.

    extractors: where there are some, rows of others are left out. Raises Damaged for a file that is gone, or whose pages do not
    have the checksum that was written with them.
    """
    for batch in numbers:
        for number in batch.column(0).to_numpy():
            for uri in shares[number]:
                yield from rows_at(uri, column, extractors)


def rows_at(uri: str, column: str, extractors: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """The rows of the Parquet file `uri`, as `read` gives them. Raises Damaged."""
    try:
        yield from rows_of(objects.read(uri), column, extractors)
    except NotFound as error:
        raise Damaged(f"{uri}: is missing; {NAMES_IT}") from error
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"{uri}: does not read back ({str(error).splitlines()[0]}); {NAMES_IT}") from error


def rows_of(body: bytes, column: str, extractors: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """The rows in the bytes of a Parquet file, as `read` gives them."""
    import pyarrow.compute as pc  # these two take 50 ms, for who reads or writes vectors
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    names = ["path", "label", column]
    for batch in file.iter_batches(BLOCK_ROWS, columns=[*names, "extractor"] if extractors else names, use_threads=False):
        taken = batch.filter(pc.field("extractor").isin(list(extractors))) if extractors else batch
        rows = taken.select(names)
        yield rows.filter(rows.column(2).is_valid()) if rows.column(2).null_count else rows


def write(batches: Iterable[pa.RecordBatch], uri: str) -> int:
    """Writes batches of one schema as the Parquet file `uri`, in one step, and returns the number of rows.

    Without rows there is no file. Vectors are not dictionary-encoded, as hardly two of their numbers are equal.
    """
    import pyarrow.parquet as pq

    body, rows = io.BytesIO(), 0
    writer: Any = None
    for batch in batches:
        if batch.num_rows:
            writer = writer or pq.ParquetWriter(body, batch.schema, **OPTIONS)
            writer.write_batch(batch)
            rows += batch.num_rows
    if writer:
        writer.close()
        objects.write(uri, body.getvalue())
    return rows
