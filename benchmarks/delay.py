"""What the network's delay costs: images a second with 30 ms added to every S3 request, over the same without. Prints a table.

    python benchmarks/delay.py [--images 8000] [--binary-images 1000] [--delay-seconds 0.03]

1. **Events.** The stream's own run (`--once --source events`) over images and manifests of 1,000 events each.
2. **binaryFile.** The same pictures and the same model, their bytes read by Spark's binaryFile source (content column), written
   to a Delta table. Fewer of them, since it waits for each.

All S3 requests of both, those for table and checkpoint too, go through a proxy (tests/s3_proxy.py), in the run without delay as
well, so that the proxy's own cost is in both. Each run is a process of its own; the clock runs from the query's start to its end,
after a smaller one that warms up.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))  # streaming/ is an application, not an installed package

from benchmarks import s3_server, stream
from fruitpipe import objects, session
from fruitpipe.extractor import Model, extractor_for
from fruitpipe.fitting import vectors_of
from fruitpipe.images import decode
from fruitpipe.settings import IngestSettings
from streaming.ingest import ingest
from tests.pictures import jpeg

if TYPE_CHECKING:
    from pyspark import Broadcast

CHECKOUT = Path(__file__).parents[1]
WARM_UP = 300
PICTURES = 500  # different ones


def upload(server: s3_server.S3Server, prefix: str, count: int) -> None:
    """`count` images and their manifests, directly to the server."""
    os.environ |= server.environment
    paths = [f"s3://fruits/{prefix}/images/Label {number % 36:02}/{number:06}.jpg" for number in range(count)]
    bodies = [jpeg(seed) for seed in range(min(PICTURES, count))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(objects.write, paths, (bodies[number % len(bodies)] for number in range(count))))
    stream.announce(f"s3://fruits/{prefix}/root", paths)


def events(prefix: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        ingest(IngestSettings(images=f"{prefix}/images", root=f"{prefix}/root", source="events", once=True))


def binary_files(prefix: str) -> None:
    spark = session.open("fruitpipe benchmark: delay", prefix)
    model = spark.sparkContext.broadcast(Model.load(IngestSettings(images="x", root="x").model))
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(objects.for_spark(f"{prefix}/images"))
    rows = files.select("path", "content").mapInArrow(partial(_featurise, model=model), "path string, features array<float>")
    rows.write.format("delta").save(objects.for_spark(f"{prefix}/binary"))


def _featurise(batches: Iterable[pa.RecordBatch], model: Broadcast[Model]) -> Iterator[pa.RecordBatch]:
    """Runs in the Python workers."""
    extractor = extractor_for(model.value)
    for batch in batches:
        vectors = [extractor(decode(body.as_py()).pixels) for body in batch.column("content")]
        yield pa.RecordBatch.from_arrays([batch.column("path"), vectors_of(vectors)], ["path", "features"])


WAYS = {"events": events, "binaryFile": binary_files}


def one_run(way: str, prefix: str) -> None:
    """What each process does: warm up, and say how many seconds the run took."""
    session.open("fruitpipe benchmark: delay", prefix)
    WAYS[way](f"{prefix}-warm")
    began = time.perf_counter()
    WAYS[way](prefix)
    print(time.perf_counter() - began)


def measured(server: s3_server.S3Server, way: str, count: int, delay_seconds: float) -> float:
    """Images a second of one way."""
    prefix = f"{way}-{delay_seconds}"
    upload(server, prefix, count)
    upload(server, f"{prefix}-warm", WARM_UP)
    with proxy(server.endpoint, delay_seconds) as endpoint:
        command = [sys.executable, __file__, "--run", way, "--prefix", f"s3://fruits/{prefix}"]
        environment = os.environ | s3_server.environment(endpoint)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return count / float(done.stdout.split()[-1])


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
    parser.add_argument("--prefix", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        one_run(given.run, given.prefix)
        return
    delay = given.delay_seconds
    print(f"| images/s | no delay | {delay * 1000:.0f} ms a request | ratio |", "|---|---|---|---|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder, s3_server.started(Path(folder)) as server:
        server.bucket("fruits")
        for way, count in (("events", given.images), ("binaryFile", given.binary_images)):
            without, slow = measured(server, way, count, 0.0), measured(server, way, count, delay)
            print(f"| {way}, {count:,} images | {without:.0f} | {slow:.0f} | {slow / without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
