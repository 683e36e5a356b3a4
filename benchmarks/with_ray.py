"""Ray Data: `read_binary_files`, the model in an actor a core, written as Parquet.

As its guide on batch inference has it: a class with the model in `__init__`, `map_batches` over a pool of actors. Reading takes
no core of its own here, since two cores are all there is; with the defaults the actors would leave none to read with.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import ray

from benchmarks import engine

BATCH = 32
PASSED = ("PYTHONPATH", "FRUITPIPE_DECODE")
ACTOR_CPUS, READER_CPUS = 0.9, 0.05


class Model:
    """The product's decoder and model."""

    def __init__(self, model: str) -> None:
        self.features = engine.Features(model)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Returns a row for each file of the batch."""
        paths = batch["path"].to_pylist()
        vectors = pa.array([self.features(body) for body in batch["bytes"].to_pylist()], pa.list_(pa.float32()))
        columns: list[Any] = [batch["path"], pa.array([engine.label(path) for path in paths]), vectors]
        return pa.table(columns, names=["path", "label", "features"])


def ingest(images: str, out: str, model: str) -> None:
    """A folder of Parquet files."""
    write(
        lambda: ray.data.read_binary_files(images, include_paths=True, num_cpus=READER_CPUS),
        Model,
        model,
        out,
        batch_format="pyarrow",
    )


def write(read: Callable[[], ray.data.Dataset], work: type, model: str, out: str, **form: Any) -> None:
    """What `work`, made of the model file in an actor a core, gives for the batches of what is read, as Parquet files.

    form: of the batches, as `map_batches` takes it.
    """
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    ray.init(include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": passed})
    engine.say(engine.UP)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = read().map_batches(
        work,
        fn_constructor_args=(model,),
        batch_size=BATCH,
        num_cpus=ACTOR_CPUS,
        compute=ray.data.ActorPoolStrategy(size=os.cpu_count()),
        **form,
    )
    rows.write_parquet(out, ray_remote_args={"num_cpus": READER_CPUS})
    ray.shutdown()


if __name__ == "__main__":
    engine.run(ingest)
