"""Measures the network's delay: images a second with 30 ms added to every S3 request, over the same without. Prints a table.

    python benchmarks/delay.py [--images 8000] [--binary-images 1000] [--delay-seconds 0.03]

1. **Events.** The stream runs; manifests of 1,000 events each are written, and the clock runs until the last image has its row.
2. **binaryFile.** The same pictures and the same model, their bytes read by Spark's binaryFile source (content column), written
   to a Delta table by one query. Fewer of them, since it waits for each.

All S3 requests of both, those for table and checkpoint too, go through a proxy (tests/s3_proxy.py), in the run without delay as
well, so that the proxy's own cost is in both. Each run is a process of its own and warms up with 300 images.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks import s3_server, stream
from fruitpipe import objects
from fruitpipe.extractor.inference import ModelFile, network_for
from fruitpipe.pictures.decoding import decode
from fruitpipe.refit.on_spark import vectors_of
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from tests.pictures import jpeg

if TYPE_CHECKING:
    from pyspark import Broadcast

CHECKOUT = Path(__file__).parents[1]
BUCKET = "fruits"
WARM_UP = 300
PICTURES = 500  # different ones


class Load(NamedTuple):
    """What is ingested: `images` of them, after `warm_up` others. bodies: what they hold in turn."""

    bodies: list[bytes]
    images: int
    warm_up: int = WARM_UP


def paths(folder: str, count: int) -> list[str]:
    """The URIs of `count` images in a folder, in folders of their labels."""
    return [f"{folder}/Label {number % 36:02}/{number:06}.jpg" for number in range(count)]


def upload(folder: str, load: Load) -> None:
    """The images below a folder, in S3 or here, and those of the warm-up beside them."""
    uris = paths(f"{folder}/images/warm", load.warm_up) + paths(f"{folder}/images/new", load.images)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(objects.write, uris, (load.bodies[number % len(load.bodies)] for number in range(len(uris)))))


def events(folder: str, count: int, warm_up: int) -> float:
    """Seconds from the manifests to the last row, of a stream that runs and has seen other images."""
    settings = IngestSettings(images=f"{folder}/images", root=f"{folder}/root", source="events", trigger_seconds=0)
    with stream.running(session.open("fruitpipe benchmark: delay", settings.root), settings) as (watched, _):
        for uris in (paths(f"{folder}/images/warm", warm_up), paths(f"{folder}/images/new", count)):
            began = time.perf_counter()
            stream.announce(settings.root, uris)
            seconds = watched.wait(uris, 600) - began
    return seconds


def binary_files(folder: str, _count: int, _warm_up: int) -> float:
    """Seconds of one query that reads the content of the images, and writes their features."""
    spark = session.open("fruitpipe benchmark: delay", folder)
    model = spark.sparkContext.broadcast(ModelFile.load(IngestSettings(images="x", root="x").model))
    featurise = partial(_featurise, model=model)
    for part in ("warm", "new"):
        began = time.perf_counter()
        source = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        files = source.load(objects.for_spark(f"{folder}/images/{part}"))
        rows = files.select("path", "content").mapInArrow(featurise, "path string, features array<float>")
        rows.write.format("delta").mode("append").save(objects.for_spark(f"{folder}/binary"))
        seconds = time.perf_counter() - began
    return seconds


def _featurise(batches: Iterable[pa.RecordBatch], model: Broadcast[ModelFile]) -> Iterator[pa.RecordBatch]:
    """Runs in the Python workers."""
    network = network_for(model.value)
    for batch in batches:
        vectors = [network(decode(body.as_py()).pixels) for body in batch.column("content")]
        yield pa.RecordBatch.from_arrays([batch.column("path"), vectors_of(np.stack(vectors))], ["path", "features"])


WAYS = {"events": events, "binaryFile": binary_files}


def measured(server: s3_server.S3Server, way: str, load: Load, delay_seconds: float, name: str = "") -> float:
    """Images a second of one way, from the server. name: of a folder in the bucket, where the ways are measured several times."""
    os.environ |= server.environment
    folder = f"s3://{BUCKET}/{name}{way}-{delay_seconds}"
    upload(folder, load)
    with proxy(server.endpoint, delay_seconds) as endpoint:
        return rate(way, folder, load, s3_server.environment(endpoint))


def rate(way: str, folder: str, load: Load, environment: Mapping[str, str]) -> float:
    """Images a second of one way with what lies below a folder, in a process of its own."""
    numbers = ["--images", str(load.images), "--warm-up", str(load.warm_up)]
    command = [sys.executable, __file__, "--run", way, "--folder", folder, *numbers]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return load.images / float(done.stdout.split()[-1])


@contextlib.contextmanager
def proxy(to: str, delay_seconds: float) -> Iterator[str]:
    """A delaying proxy in a process of its own."""
    command = [sys.executable, str(CHECKOUT / "tests" / "s3_proxy.py"), "--to", to, "--delay-seconds", str(delay_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description="Images a second with a delay on every S3 request, over the same without.")
    parser.add_argument("--images", type=int, default=8_000, help="for the stream (default: %(default)s)")
    parser.add_argument("--binary-images", type=int, default=1_000, help="for binaryFile (default: %(default)s)")
    parser.add_argument("--delay-seconds", type=float, default=0.03)
    parser.add_argument("--run", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(WAYS[given.run](given.folder, given.images, given.warm_up))
        return
    bodies = [jpeg(seed) for seed in range(PICTURES)]
    delay = given.delay_seconds
    print(f"| images/s | no delay | {delay * 1000:.0f} ms a request | ratio |", "|---|---|---|---|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder, s3_server.started(Path(folder)) as server:
        server.bucket(BUCKET)
        for way, count in (("events", given.images), ("binaryFile", given.binary_images)):
            without, slow = (measured(server, way, Load(bodies, count, given.warm_up), seconds) for seconds in (0.0, delay))
            print(f"| {way}, {count:,} images | {without:.0f} | {slow:.0f} | {slow / without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
