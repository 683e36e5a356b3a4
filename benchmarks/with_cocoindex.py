"""CocoIndex: a component for each file, memoised by the file's content, rows in SQLite.

As its documentation has it: `walk_dir` mounted with `mount_each`, a memoised function, a table target declared row by row.
The model runs in a thread a core; LiteRT lets go of the interpreter's lock while it computes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cocoindex as coco
import numpy as np
from cocoindex.connectors import localfs, sqlite
from cocoindex.resources.file import FileLike, PatternFilePathMatcher
from numpy.typing import NDArray

from benchmarks import engine

DATABASE = coco.ContextKey[sqlite.ManagedConnection]("database")
THREADS = ThreadPoolExecutor(os.cpu_count())
LOCAL = threading.local()


@dataclass
class Row:
    """features: 1280 float32 as bytes."""

    path: str
    label: str
    features: bytes


def computed(body: bytes, model: str) -> NDArray[np.float32]:
    """The features of `body`, by this thread's own interpreter."""
    if not hasattr(LOCAL, "features"):
        LOCAL.features = engine.Features(model)
    features: NDArray[np.float32] = LOCAL.features(body)
    return features


@coco.fn(memo=True)
async def look(file: FileLike, table: sqlite.TableTarget[Row], model: str) -> None:
    """One file: its row."""
    path = file.file_path.resolve().as_posix()
    body = await file.read()
    vector = await asyncio.get_running_loop().run_in_executor(THREADS, computed, body, model)
    table.declare_row(row=Row(path, engine.label(path), vector.tobytes()))


@coco.fn
async def flow(images: Path, model: str) -> None:
    """The table as a function of the folder."""
    schema = await sqlite.TableSchema.from_class(Row, primary_key=["path"])
    table = await sqlite.mount_table_target(DATABASE, "features", schema)
    files = localfs.walk_dir(images, recursive=True, path_matcher=PatternFilePathMatcher(included_patterns=["**/*.jpg"]))
    await coco.mount_each(look, files.items(), table, model)


def ingest(images: str, out: str, model: str) -> None:
    """A SQLite file, and CocoIndex's memory beside it; run again, it takes what is new."""
    Path(out).mkdir(parents=True, exist_ok=True)

    @coco.lifespan
    async def lifespan(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
        builder.settings.db_path = Path(out, "memory")
        builder.provide_with(DATABASE, sqlite.managed_connection(f"{out}/features.sqlite"))
        yield

    coco.App("features", flow, Path(images), model).update_blocking()


if __name__ == "__main__":
    engine.run(ingest)
