"""Daft with its own decoder: `download`, `decode_image`, `resize`, the model in a class UDF, two of them at once.

As its guide on images has it; otherwise as `with_daft.py`. A UDF that is given images runs on threads of one process, whatever
`use_process` says (Daft 0.7.26), and all of them call one object. LiteRT's interpreter is for one thread, so each has its own.
"""

from __future__ import annotations

import os
import threading

import daft
import numpy as np
from daft import DataType, Series, col
from daft.functions import decode_image, resize

from benchmarks import engine
from benchmarks.with_daft import BATCH
from fruitpipe.extractor.inference import ModelFile, Network


@daft.cls(max_concurrency=os.cpu_count(), use_process=True)
class Model:
    """The product's model, of pictures that are decoded."""

    def __init__(self, model: str) -> None:
        self._body, self._of_thread = ModelFile.load(model).body, threading.local()

    @daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=BATCH)
    def __call__(self, pictures: Series) -> list[object]:
        """One vector for each picture."""
        extract = self._network()
        return [extract(np.asarray(one, np.float32) / np.float32(127.5) - np.float32(1)) for one in pictures.to_pylist()]

    def _network(self) -> Network:
        if not hasattr(self._of_thread, "network"):
            self._of_thread.network = Network(self._body)
        return self._of_thread.network  # type: ignore[no-any-return]


def ingest(images: str, out: str, model: str) -> None:
    """One Delta table."""
    files = daft.from_glob_path(f"{images}/*/*.jpg").select("path")
    picture = resize(decode_image(col("path").download(), mode="RGB"), 224, 224)
    rows = files.select("path", col("path").split("/").get(-2).alias("label"), Model(model)(picture).alias("features"))
    rows.write_deltalake(out)


if __name__ == "__main__":
    engine.run(ingest)
