"""How many requests new images cost, counted by the S3 server itself, by events and by listing. Prints a table.

    python benchmarks/s3_requests.py [--there 2500] [--new 10 100 1000]

So many images are there and have their rows. Then new ones are uploaded together, with one manifest for events, and every
request to the server is counted until their rows are committed and the next trigger found nothing; the uploads themselves are
left out. Those for the image prefix are given for each image, those for table, manifests and checkpoint (the root) for the whole
batch. Last come triggers that find nothing, which is what a stream costs that waits.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks import growth, s3_server, stream
from fruitpipe import objects
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from tests.pictures import jpeg

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TRIGGER_SECONDS = 2.0
IDLE_TRIGGERS = 10
KINDS = ("LIST", "HEAD", "GET", "PUT", "COPY", "DELETE")


class Counted:
    """Requests by kind since the last time that was asked, for the images and for the root."""

    def __init__(self, server: s3_server.S3Server) -> None:
        self.server = server
        self.seen = 0

    def __call__(self) -> tuple[Counter[str], Counter[str]]:
        fresh = self.server.requests()[self.seen :]
        self.seen += len(fresh)
        images = Counter(kind for kind, target in fresh if "images" in target)
        return images, Counter(kind for kind, target in fresh if "images" not in target)


def cells(counts: Counter[str], share: int) -> str:
    """A row's cells: requests of each kind and of all kinds."""
    figures = [counts[kind] / share for kind in KINDS] + [counts.total() / share]
    return " | ".join(f"{figure:.2f}".removesuffix(".00") for figure in figures)


def next_trigger(query: Any) -> None:
    """Returns when a trigger that begins from now on has ended and found nothing."""
    for _ in range(2):
        before = query.lastProgress["timestamp"] if query.lastProgress else None
        while not query.lastProgress or query.lastProgress["timestamp"] == before or query.lastProgress["numInputRows"]:
            time.sleep(0.05)


def batch(settings: IngestSettings, watched: stream.Watched, count: int) -> None:
    """Uploads `count` images between two triggers and waits for their rows."""
    first = 1_000_000 * (1 + len(watched.committed))
    paths = [f"{settings.images}/Kiwi/{settings.source}-{first + number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        objects.write(path, jpeg(number))
    if settings.source == "events":
        stream.announce(settings.root, paths, count)
    watched.wait(paths)


def measure(spark: SparkSession, server: s3_server.S3Server, source: str, sizes: list[int]) -> list[str]:
    settings = IngestSettings(images=growth.IMAGES, root=growth.ROOT, source=source, trigger_seconds=TRIGGER_SECONDS)
    counted, lines = Counted(server), []
    with stream.running(spark, settings) as (watched, query):
        batch(settings, watched, 1)
        for size in sizes:
            next_trigger(query)
            counted()
            batch(settings, watched, size)
            query.processAllAvailable()
            images, root = counted()
            images["PUT"] -= size
            root["PUT"] -= source == "events"
            lines += [f"| {source}, {size} new: images, each | {cells(images, size)} |"]
            lines += [f"| {source}, {size} new: root, together | {cells(root, 1)} |"]
        next_trigger(query)
        counted()
        time.sleep(IDLE_TRIGGERS * TRIGGER_SECONDS)
        images, root = counted()
    lines += [f"| {source}, nothing new: images, a trigger | {cells(images, IDLE_TRIGGERS)} |"]
    return [*lines, f"| {source}, nothing new: root, a trigger | {cells(root, IDLE_TRIGGERS)} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description="S3 requests of new images, counted by the server.")
    parser.add_argument("--there", type=int, default=2_500, help="images there already (default: %(default)s)")
    parser.add_argument(
        "--new", type=int, nargs="*", default=[10, 100, 1000], help="images uploaded together (default: %(default)s)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as folder, s3_server.started(Path(folder)) as server:
        os.environ |= server.environment
        server.bucket("fruits")
        spark = session.open("fruitpipe benchmark: requests", growth.IMAGES, growth.ROOT)
        growth.fill(spark, server, 0, given.there)
        print(f"| {given.there:,} images there | {' | '.join(KINDS)} | all |", "|---" * (len(KINDS) + 2) + "|", sep="\n")
        for source in ("events", "prefix"):
            settings = IngestSettings(images=growth.IMAGES, root=growth.ROOT, source=source, trigger_seconds=0)
            growth.pass_over(spark, settings, given.there)
            print("\n".join(measure(spark, server, source, given.new)), flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
