"""Spark with `predict_batch_udf` and Keras, written as Parquet.

As Spark's documentation has it: the function that loads the model returns one that predicts a batch of NumPy arrays. The picture
comes as its bytes and is decoded in there, which is the kinder way: as a tensor column it would be 600 kB a row between
Java and Python. TensorFlow has one thread a task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql.types import ArrayType, FloatType

from benchmarks import engine, keras_on_spark

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32


def predictor() -> Callable[[NDArray[np.object_]], NDArray[np.float32]]:
    """Loads the model, once for each Python worker."""
    model = keras_on_spark.model()

    def predict(bodies: NDArray[np.object_]) -> NDArray[np.float32]:
        """(n,) bytes to (n, 1280) float32."""
        vectors: NDArray[np.float32] = model.predict(keras_on_spark.pixels(bodies), batch_size=BATCH, verbose=0)
        return vectors

    return predict


def ingest(images: str, out: str, _model: str) -> None:
    """A folder of Parquet files."""
    features = predict_batch_udf(predictor, return_type=ArrayType(FloatType()), batch_size=BATCH)
    keras_on_spark.write(images, out, features)


if __name__ == "__main__":
    engine.run(ingest)
