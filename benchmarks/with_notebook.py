"""The notebook's way: a pandas UDF over an iterator of series, `model.predict` on each pandas batch, written as Parquet.

Its settings are kept: the images are dealt out to parts, each of which builds the model, and a batch has as many rows as Arrow's
10,000 allow. It made 20 parts of 22,688 images; a part a core here is about as many images. `--one-at-a-time` calls predict for
each picture, as some of its descendants do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]
from pyspark.sql.types import ArrayType, FloatType

from benchmarks import engine, keras_on_spark

ONE_AT_A_TIME = "--one-at-a-time"


def ingest(images: str, out: str, _model: str, *, single: bool = False) -> None:
    """A folder of Parquet files."""

    @pandas_udf(ArrayType(FloatType()))  # type: ignore[untyped-decorator]
    def features(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = keras_on_spark.model()
        for batch in batches:
            pixels = keras_on_spark.pixels(batch)
            calls = np.split(pixels, len(pixels)) if single else [pixels]
            yield pd.Series([vector for call in calls for vector in model.predict(call, verbose=0)])

    keras_on_spark.write(images, out, features, os.cpu_count())


if __name__ == "__main__":
    one_at_a_time = ONE_AT_A_TIME in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != ONE_AT_A_TIME]
    engine.run(lambda images, out, model: ingest(images, out, model, single=one_at_a_time))
