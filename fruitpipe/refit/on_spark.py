"""Vectors in Spark: summed up, reduced and read back as Arrow batches, without a Python loop over rows.

The functions that take an iterator of batches run in the Python workers. Partial sums are merged there too: the driver gets four
rows of 13 MB at the most, however many rows and partitions there are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext

from fruitpipe import objects
from fruitpipe.errors import InvalidResult
from fruitpipe.reduction.moments import finite_rows
from fruitpipe.reduction.summary import Summary
from fruitpipe.runtime import workers
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

    from fruitpipe.reduction.pca import Reduction
    from fruitpipe.table.vector_files import File

FAN_IN = 8
TASK_ROWS = 25_000
FEW = 4  # summaries, 13 MB each, that the driver merges: a level of the tree costs 0.3 s
SUMMARY = "summary binary"
REDUCED_SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("pca_features", pa.list_(pa.float32()))])
SUMMARY_SCHEMA = pa.schema([("summary", pa.binary())])


@dataclass(frozen=True)
class Source:
    """Vectors with path and label: the rows of `frame`, or what a worker makes of them with `read`, in `tasks` tasks."""

    frame: DataFrame
    read: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]] = iter
    tasks: int | None = None

    def map(self, work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: str) -> DataFrame:
        """What `work` makes of the batches of (path, label, vector) of each task."""
        return self.frame.mapInArrow(partial(_read_and, read=self.read, work=work), schema)


def of_rows(rows: DataFrame, column: str, count: int | None = None) -> Source:
    """The vectors in `column` of `rows`, but for those that are null. With their number, in no more tasks than it takes."""
    vectors = rows.where(rows[column].isNotNull()).select("path", "label", column)
    if count is None:
        return Source(vectors)
    tasks = max(rows.sparkSession.sparkContext.defaultParallelism, -(-count // TASK_ROWS))
    return Source(vectors.coalesce(tasks), tasks=tasks)


def of_files(spark: SparkSession, files: Sequence[File], column: str, extractors: Sequence[str] = ()) -> Source:
    """The vectors in `column` of Parquet files, but for those that are null; nine times cheaper to read than rows.

    extractors: where there are some, those of others are left out.
    """
    numbers, shares = vector_files.tasks(spark, files)
    return Source(numbers, partial(vector_files.read, shares=shares, column=column, extractors=extractors), len(shares))


def summarise(source: Source, dimensions: int | None = None) -> Summary:
    """The summary of vectors that are `dimensions` long, or as long as each other.

    One pass: 40 µs a row on each core at 1280 dimensions. Raises InvalidResult for a vector of another length.
    """
    partials = source.map(partial(summarise_batches, dimensions=dimensions), SUMMARY)
    for parts in _levels(source.tasks or partials.sparkSession.sparkContext.defaultParallelism * FAN_IN):
        partials = partials.repartition(parts).mapInArrow(merge_batches, SUMMARY)
    bodies = partials.toArrow().column(0)  # collect() would pass each through a pickle
    return _merged(Summary.from_bytes(body.as_py()) for body in bodies) or Summary.zero(dimensions or 0)


def write(features: Source, reduction: Reduction, folder: str, name: str) -> int:
    """Writes `path`, `label` and `pca_features`, array<float> of length k, of the rows whose features are finite numbers.

    A Parquet file `folder`/part-`name`-00000.parquet and so on for each task. Returns the number of rows.
    """
    work = partial(write_batches, reduction=reduction, uri=objects.join(folder, f"part-{name}"))
    return sum(row["rows"] for row in features.map(work, "rows long").collect())


def summarise_batches(batches: Iterable[pa.RecordBatch], dimensions: int | None = None) -> Iterator[pa.RecordBatch]:
    """One row for all batches of (path, label, vector): their summary as bytes."""
    yield from _one_row(_merged(_summary_of(batch, dimensions) for batch in batches if batch.num_rows))


def merge_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row for all batches of summaries; they are held one at a time."""
    workers.keep_warm()
    yield from _one_row(_merged(Summary.from_bytes(body.as_py()) for batch in batches for body in batch.column(0)))


def _summary_of(batch: pa.RecordBatch, dimensions: int | None) -> Summary:
    paths, labels, vectors = batch.columns
    return Summary.of(matrix(vectors, dimensions or len(vectors[0])), _texts(labels), _texts(paths))


def _merged(summaries: Iterable[Summary]) -> Summary | None:
    """All as one; None where there are none. Raises InvalidResult where their vectors differ in length."""
    left = iter(summaries)
    first = next(left, None)
    if first is None:
        return None
    dimensions = first.moments.dimensions
    return Summary.total((_checked(one, dimensions) for one in itertools.chain([first], left)), dimensions)


def _checked(summary: Summary, dimensions: int) -> Summary:
    if summary.moments.dimensions != dimensions:
        raise InvalidResult(f"vectors of {dimensions} and of {summary.moments.dimensions} numbers found together")
    return summary


def project_batches(batches: Iterable[pa.RecordBatch], reduction: Reduction) -> Iterator[pa.RecordBatch]:
    """Batches of (path, label, features) to batches of (path, label, pca_features); rows with a NaN or infinity are left out."""
    for batch in batches:
        paths, labels, vectors = batch.columns
        features = matrix(vectors, len(reduction.mean))
        finite = finite_rows(features)
        reduced = vectors_of(reduction.transform(features[finite]))
        kept = pa.array(finite, pa.bool_())
        yield pa.RecordBatch.from_arrays([paths.filter(kept), labels.filter(kept), reduced], schema=REDUCED_SCHEMA)


def write_batches(batches: Iterable[pa.RecordBatch], reduction: Reduction, uri: str) -> Iterator[pa.RecordBatch]:
    """One row for all batches of (path, label, features): how many it wrote. A task that is run again writes the same file."""
    context = TaskContext.get()
    assert context is not None
    rows = vector_files.write(project_batches(batches, reduction), f"{uri}-{context.partitionId():05}.parquet")
    yield pa.RecordBatch.from_arrays([pa.array([rows])], ["rows"])


def matrix(vectors: pa.Array[Any], dimensions: int) -> NDArray[np.float32]:
    """The (n, dimensions) float32 of n lists; a null in a list becomes a NaN.

    Raises InvalidResult for a list of another length, which a mean over all would hide.
    """
    lengths = pc.list_value_length(vectors).to_numpy(zero_copy_only=False)
    wrong = lengths != dimensions
    if wrong.any():
        raise InvalidResult(f"{dimensions} numbers expected in each vector, {int(lengths[wrong][0])} found in {int(wrong.sum())}")
    flat: NDArray[np.float32] = pc.list_flatten(vectors).to_numpy(zero_copy_only=False)
    return flat.reshape(len(vectors), dimensions)


def vectors_of(rows: NDArray[np.float32]) -> pa.Array[Any]:
    """The (n, k) float32 as n lists, without a copy."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))


def _read_and(
    batches: Iterable[pa.RecordBatch],
    read: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]],
    work: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
) -> Iterator[pa.RecordBatch]:
    workers.keep_warm()
    return work(read(batches))


def _levels(summaries: int) -> Iterator[int]:
    """How many summaries each level of the tree leaves, an eighth of those before, until they are few enough for the driver."""
    while summaries > FEW:
        summaries = -(-summaries // FAN_IN)
        yield summaries


def _one_row(summary: Summary | None) -> Iterator[pa.RecordBatch]:
    """Nothing where there were no rows, so that empty partitions cost nothing."""
    if summary:
        yield pa.RecordBatch.from_arrays([pa.array([summary.to_bytes()], pa.binary())], schema=SUMMARY_SCHEMA)


def _texts(column: pa.Array[Any]) -> NDArray[Any]:
    return column.to_numpy(zero_copy_only=False)
