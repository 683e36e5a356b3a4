"""Ray Data with its own decoder: `read_images` to 224 x 224, the model in an actor a core, written as Parquet.

As its guide on images has it; otherwise as `with_ray.py`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from benchmarks import engine
from benchmarks.with_ray import ACTOR_CPUS, BATCH, PASSED, READER_CPUS
from fruitpipe.extractor.inference import Extractor
from fruitpipe.extractor.inference import Model as File


class Model:
    """The product's model, of pictures that are decoded."""

    def __init__(self, model: str) -> None:
        self.extract = Extractor(File.load(model).body)

    def __call__(self, batch: dict[str, Any]) -> pa.Table:
        """One row for each picture of the batch."""
        pixels = [np.asarray(image, np.float32) / np.float32(127.5) - np.float32(1) for image in batch["image"]]
        vectors = pa.array([self.extract(one) for one in pixels], pa.list_(pa.float32()))
        paths = list(batch["path"])
        columns: list[Any] = [pa.array(paths), pa.array([engine.label(path) for path in paths]), vectors]
        return pa.table(columns, names=["path", "label", "features"])


def ingest(images: str, out: str, model: str) -> None:
    """A folder of Parquet files."""
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    ray.init(include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": passed})
    engine.say(engine.UP)
    ray.data.DataContext.get_current().enable_progress_bars = False
    pictures = ray.data.read_images(images, size=(224, 224), mode="RGB", include_paths=True, num_cpus=READER_CPUS)
    rows = pictures.map_batches(
        Model,
        fn_constructor_args=(model,),
        batch_size=BATCH,
        num_cpus=ACTOR_CPUS,
        compute=ray.data.ActorPoolStrategy(size=os.cpu_count()),
    )
    rows.write_parquet(out, ray_remote_args={"num_cpus": READER_CPUS})
    ray.shutdown()


if __name__ == "__main__":
    engine.run(ingest)
