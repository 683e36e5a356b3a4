"""Features tables of any size for the benchmarks: real features, repeated with seeded noise.

The base is what the extractor says of the photographs of Fruits-360 (2,016 of them, 36 labels), kept in a file of the temporary
folder; where there are no photographs or no model file, it is drawn: 36 centres, 200 hidden directions and noise, clipped at 0
as the extractor's own output is. Row i of a table is row i mod 2,016 of the base with normal noise of a tenth of each column's
standard deviation, seeded by i, clipped to 0..6. So rows of one photograph differ, a column that is always 0 stays so, and
a table of more rows begins with the rows of a smaller one. The noise adds directions: k is larger than for the photographs alone.

    python benchmarks/features.py ROOT ROWS [--first N]    appends rows N to N + ROWS to the features table at ROOT
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from fruitpipe.extractor.inference import ModelFile, Network, fingerprint
from fruitpipe.extractor.mobilenet import FEATURES
from fruitpipe.pictures import decoding
from fruitpipe.refit.on_spark import vectors_of
from fruitpipe.runtime import session
from fruitpipe.settings import default_model
from fruitpipe.table import delta, schema
from tests.rows import append_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "data" / "fruits-360" / "Training"
ROWS_PER_FILE = 2_000  # what one batch of the stream brings
BLOCK_ROWS = 500
SCHEMA = "path string, label string, features array<float>"
HIGHEST = 6.0  # the extractor ends in ReLU6


class Base(NamedTuple):
    """What rows are made of: (n, 1280) float32, n labels, and where they come from."""

    features: NDArray[np.float32]
    labels: NDArray[np.str_]
    source: str


def base(photographs: Path = PHOTOGRAPHS) -> Base:
    """Real features where the photographs and the model file are, drawn ones otherwise."""
    if not photographs.is_dir() or not Path(default_model()).exists():
        return _drawn()
    model = ModelFile.load(default_model())
    kept = Path(tempfile.gettempdir()) / f"fruitpipe-benchmark-{fingerprint(model)}.npz"
    if not kept.exists():
        _extract(model, sorted(photographs.glob("*/*.jpg")), kept)
    with np.load(kept) as file:
        return Base(file["features"], file["labels"], f"{len(file['labels'])} photographs")


def append(root: str, rows: int, first: int = 0, photographs: Path = PHOTOGRAPHS) -> None:
    """Appends rows `first` to `first + rows` to the features table at `root`, which is made if it is not there."""
    spark = session.open("fruitpipe benchmark: features", root)
    numbers = spark.range(first, first + rows, numPartitions=-(-rows // ROWS_PER_FILE))
    made = numbers.mapInArrow(partial(_rows, base=base(photographs)), SCHEMA)
    constant = {"extractor": F.lit("benchmark"), "ingested_at": F.lit(datetime.now(UTC))}
    have = {"path": F.col("path"), "label": F.col("label"), "features": F.col("features")} | constant
    absent = {field.name: F.lit(None).cast(field.dataType) for field in schema.FEATURES if field.name not in have}
    delta.create(spark, root)
    append_rows(root, made.select(*[column.alias(name) for name, column in (have | absent).items()]))


def noisy(base: Base, row: int) -> NDArray[np.float32]:
    """Row number `row`, (1280,) float32."""
    noise = np.random.default_rng(row).normal(size=FEATURES) * 0.1 * base.features.std(axis=0)
    vector: NDArray[np.float32] = np.clip(base.features[row % len(base.features)] + noise, 0, HIGHEST).astype(np.float32)
    return vector


def _rows(batches: Iterable[pa.RecordBatch], base: Base) -> Iterator[pa.RecordBatch]:
    """Runs in the Python workers: row numbers to rows."""
    for batch in batches:
        numbers: list[int] = batch.column(0).to_numpy().tolist()
        for start in range(0, len(numbers), BLOCK_ROWS):
            block = numbers[start : start + BLOCK_ROWS]
            labels = [str(base.labels[number % len(base.labels)]) for number in block]
            paths = [f"file:///images/{label}/{number:07}.jpg" for number, label in zip(block, labels, strict=True)]
            vectors = vectors_of(np.stack([noisy(base, number) for number in block]))
            yield pa.RecordBatch.from_arrays([pa.array(paths), pa.array(labels), vectors], ["path", "label", "features"])


def _extract(model: ModelFile, photographs: list[Path], kept: Path) -> None:
    extract = Network(model.body)
    features = np.stack([extract(decoding.decode(photograph.read_bytes()).pixels) for photograph in photographs])
    with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".npz", delete=False) as file:
        np.savez(file, features=features, labels=np.array([photograph.parent.name for photograph in photographs]))
    Path(file.name).replace(kept)


def _drawn() -> Base:
    rng = np.random.default_rng(0)
    centres, directions = rng.normal(size=(36, FEATURES)), rng.normal(size=(200, FEATURES)) * 0.1
    rows = centres[np.arange(2016) % 36] + rng.normal(size=(2016, 200)) @ directions + 0.3 * rng.normal(size=(2016, FEATURES))
    labels = np.array([f"Label {number:02}" for number in np.arange(2016) % 36])
    return Base(rows.clip(0, HIGHEST).astype(np.float32), labels, "drawn rows: no photographs or no model file")


def main() -> None:
    parser = argparse.ArgumentParser(description="Appends rows to the features table at ROOT.")
    parser.add_argument("root")
    parser.add_argument("rows", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    given = parser.parse_args()
    append(given.root, given.rows, given.first, given.photographs)


if __name__ == "__main__":
    main()
