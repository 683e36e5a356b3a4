"""Ray Data with its own decoder: `read_images` to 224 x 224, the model in an actor a core, written as Parquet.

As its guide on images has it; otherwise as `with_ray.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import ray

from benchmarks import engine, with_ray
from fruitpipe.extractor.inference import ModelFile, Network


class Model:
    """The product's model, of pictures that are decoded."""

    def __init__(self, model: str) -> None:
        self.extract = Network(ModelFile.load(model).body)

    def __call__(self, batch: dict[str, Any]) -> pa.Table:
        """One row for each picture of the batch."""
        pixels = [np.asarray(image, np.float32) / np.float32(127.5) - np.float32(1) for image in batch["image"]]
        vectors = pa.array([self.extract(one) for one in pixels], pa.list_(pa.float32()))
        paths = list(batch["path"])
        columns: list[Any] = [pa.array(paths), pa.array([engine.label(path) for path in paths]), vectors]
        return pa.table(columns, names=["path", "label", "features"])


def ingest(images: str, out: str, model: str) -> None:
    """A folder of Parquet files."""
    pictures = {"size": (224, 224), "mode": "RGB", "include_paths": True}
    with_ray.write(lambda: ray.data.read_images(images, **pictures, num_cpus=with_ray.READER_CPUS), Model, model, out)


if __name__ == "__main__":
    engine.run(ingest)
