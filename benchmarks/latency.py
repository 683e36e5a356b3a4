"""How long a single image takes from its upload to its committed row, while the stream is warm. Prints tables.

    python benchmarks/latency.py                     300 images one after the other, on a folder and on an S3 server
    python benchmarks/latency.py --images 50 --where local

The image is written, then its manifest, and the clock runs from before the image until the commit of its row. The trigger is as
short as it goes (`--trigger-seconds 0`). Between two images passes a random fifth of a second, so that none waits for a rhythm.
The split is Spark's own report of its phases; below `addBatch` stand the parts of our own work.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks import s3_server, stream
from fruitpipe import objects
from fruitpipe.ingest import micro_batch, upsert
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from fruitpipe.table import lookup
from tests.pictures import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM_UP = 20
PAUSE_SECONDS = 0.2


@contextlib.contextmanager
def place(where: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The URIs of images and root."""
    if where == "local":
        yield f"file://{folder}/images", f"file://{folder}/root"
        return
    with s3_server.started(folder) as server:
        os.environ |= server.environment
        server.bucket("fruits")
        yield "s3://fruits/images", "s3://fruits/root"


def uploads(settings: IngestSettings, watched: stream.Watched, count: int) -> list[float]:
    """Seconds from upload to row of `count` images."""
    chance, took = np.random.default_rng(0), []
    for number in range(count):
        time.sleep(chance.uniform(0, PAUSE_SECONDS))
        path, body = f"{settings.images}/Kiwi/{number:05}.jpg", jpeg(number)
        began = time.perf_counter()
        objects.write(path, body)
        stream.announce(settings.root, [path])
        took.append(watched.wait([path]) - began)
    return took


@contextlib.contextmanager
def timed_parts(watched: stream.Watched) -> Iterator[None]:
    """Notes how long the parts of a batch take."""
    parts = {
        "names collected": (micro_batch, "named_images"),
        "table looked up": (lookup.Lookup, "__call__"),
        "featurised": (upsert.Upsert, "_featurised"),
        "committed": (upsert.Upsert, "_commit"),
    }
    before = {name: getattr(*place) for name, place in parts.items()}
    try:
        for name, place in parts.items():
            setattr(*place, watched.timed(name, before[name]))
        yield
    finally:
        for name, place in parts.items():
            setattr(*place, before[name])


def table(name: str, seconds: dict[str, list[float]]) -> list[str]:
    """A Markdown table of medians and 99th percentiles."""
    head = [f"| {name} | p50 s | p99 s |", "|---|---|---|"]
    return head + [f"| {phase} | {median(took):.2f} | {np.percentile(took, 99):.2f} |" for phase, took in seconds.items()]


def measure(where: str, count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder, place(where, Path(folder)) as (images, root):
        settings = IngestSettings(images=images, root=root, source="events", trigger_seconds=0)
        spark = session.open("fruitpipe benchmark: latency", images, root)
        with stream.running(spark, settings) as (watched, query), timed_parts(watched):
            uploads(settings, watched, WARM_UP)
            watched.parts.clear()
            took = uploads(settings.model_copy(update={"images": f"{images}/more"}), watched, count)
            split = {phase: last[-count:] for phase, last in stream.phases(query).items()}
        spark.stop()
    parts = {f"addBatch: {name}": last[-count:] for name, last in watched.parts.items()}
    print("\n".join(table(f"{where}, {count} single images", {"upload to row": took} | split | parts)), "\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Upload to row, one image at a time.")
    parser.add_argument("--images", type=int, default=300, help="images measured (default: %(default)s)")
    parser.add_argument("--where", choices=("local", "s3"), nargs="*", default=["local", "s3"], help="(default: both)")
    given = parser.parse_args()
    for where in sorted(given.where, reverse=True):  # S3 first: the one Java of this process is given what S3 needs at its start
        measure(where, given.images)


if __name__ == "__main__":
    main()
