"""Daft: files by `url.download`, the model in a class UDF with a process a core, written as a Delta table.

As its guide on stateful UDFs has it: the class is initialised once a worker and `max_concurrency` bounds the workers. Pure Python
between the model's calls holds the interpreter's lock, so each worker is a process of its own.
"""

from __future__ import annotations

import os

import daft
from daft import DataType, Series, col

from benchmarks import engine

BATCH = 32  # rows a call; 64 and 256 measure the same


@daft.cls(max_concurrency=os.cpu_count(), use_process=True)
class Model:
    """The product's decoder and model."""

    def __init__(self, model: str) -> None:
        self.features = engine.Features(model)

    @daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=BATCH)
    def __call__(self, bodies: Series) -> list[object]:
        """Returns a vector for each body."""
        return [self.features(body) for body in bodies.to_pylist()]


def ingest(images: str, out: str, model: str) -> None:
    """Reads, featurises and writes one Delta table."""
    files = daft.from_glob_path(f"{images}/*/*.jpg").select("path")
    rows = files.select(
        "path",
        col("path").split("/").get(-2).alias("label"),
        Model(model)(col("path").download()).alias("features"),
    )
    rows.write_deltalake(out)


if __name__ == "__main__":
    engine.run(ingest)
