"""Shared by the two engines that run Keras on Spark: the session, the files, the model, the decoding."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

from benchmarks import engine
from fruitpipe.pictures.decoding import decode
from fruitpipe.runtime import jars

if TYPE_CHECKING:
    from numpy.typing import NDArray


def model() -> Any:
    """The Keras model with the product's weights and one thread: Spark runs a task a core."""
    from fruitpipe.extractor import build, weights

    tensorflow = build.tensorflow()  # on the CPU, and silent
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return build.keras_model(weights.obtain())


def pixels(bodies: Iterable[bytes]) -> NDArray[np.float32]:
    """(n, 224, 224, 3) float32 in [-1, 1]."""
    return np.stack([decode(body).pixels for body in bodies])


def write(images: str, out: str, features: Any, parts: int | None = None) -> None:
    """Reads the files, applies `features` to their content and writes Parquet; in `parts` tasks, or in as many as Spark makes."""
    builder = SparkSession.builder.appName("fruitpipe benchmark").master("local[*]")
    os.environ |= jars.spark_environment()  # the Java of the product, and this Python in the workers
    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "2g", "spark.sql.parquet.compression.codec": "snappy"}
    spark = builder.config(map={**settings}).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    engine.say(engine.UP)
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").option("pathGlobFilter", "*.jpg").load(images)
    label = F.element_at(F.split("path", "/"), -2).alias("label")
    files = files.repartition(parts) if parts else files
    files.select("path", label, features("content").alias("features")).write.parquet(out)
    spark.stop()
