"""What a root of many images costs the driver: start, batches looked up, a reconciliation. Names alone, no object and no feature.

    python benchmarks/scale.py                         1 and 10 million rows
    python benchmarks/scale.py --sizes 1000000 10000000 50000000      30 minutes, 15 GB of disk
    python benchmarks/scale.py --sizes 100000 --root DIR      the tables stay in a folder, for another run

Each figure is of a process of its own, which does nothing else: seconds, and the most memory that it had in MB, of its own and
with pages of files that are mapped, which the system takes back when it needs them; some 150 MB are Python's and its libraries'.
The listing of the reconciliation is a generator; of a thousand images one differs: half have another etag, a quarter are new and
a quarter gone. Below each figure is its growth from the size before, per tenfold.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from fruitpipe import objects
from fruitpipe.ingest import differences
from fruitpipe.jobs.reconcile import named_rows, row_hashes
from fruitpipe.pictures.variants import Current
from fruitpipe.settings import ReconcileSettings
from fruitpipe.table import delta, lookup
from fruitpipe.table.kept_hashes import KeptRowHashes
from fruitpipe.table.lookup import Lookup
from fruitpipe.table.snapshot import Snapshot
from tests.rows import empty_table, put_rows

IMAGES = "s3://fruits-images/in"
EXTRACTOR = "e"  # of the rows that `put_rows` makes
ROWS_PER_FILE = 100_000
COMMITS, ROWS_PER_COMMIT = 20, 100  # that a start finds which kept its hashes before
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def stat(number: int, etag: int | None = None) -> objects.Stat:
    """The image of this number. etag: another number, where it was changed."""
    path = f"{IMAGES}/Label {number % 131:03}/r_{number:010}_100.jpg"
    return objects.Stat(path, f"{number if etag is None else etag:032x}", 5000, NOW, is_archived=False)


def fill(root: str, rows: int) -> None:
    """A table with this many rows, unless it is there."""
    if objects.exists(delta.folder(root)):
        return
    empty_table(root)
    for version, first in enumerate(range(0, rows, ROWS_PER_FILE), 1):
        put_rows(root, map(stat, range(first, min(first + ROWS_PER_FILE, rows))), version)


def listing(rows: int) -> Iterator[objects.Stat]:
    """What is there: of each thousand one image differs from its row."""
    for number in range(rows):
        kind = number % 4000
        if kind == 0:  # gone, and another is new
            yield stat(number + 10**9)
        else:
            yield stat(number, number + 1 if kind in (1000, 3000) else None)


def add_commits(root: str) -> None:
    """What a stream has written since its hashes were kept."""
    for _ in range(COMMITS):
        first = 10**8 + Snapshot(root).version * ROWS_PER_COMMIT
        put_rows(root, map(stat, range(first, first + ROWS_PER_COMMIT)), Snapshot(root).version + 1)


def new(first: int, images: int) -> list[str]:
    """Paths that no row has."""
    return [stat(number).path for number in range(first, first + images)]


def look_up(root: str) -> Lookup:
    """As a stream makes it at its start."""
    return Lookup(KeptRowHashes(root, IMAGES), partial(lookup.of_paths, root))


def start(root: str, _: int) -> Callable[[], object]:
    """The first look-up of a stream."""
    return partial(look_up(root), new(2 * 10**9, 100))


def batch(images: int, root: str, _: int) -> Callable[[], object]:
    """A later one, of so many images."""
    known = look_up(root)
    known(new(2 * 10**9, 100))
    return partial(known, new(3 * 10**9, images))


def reconcile(root: str, rows: int) -> Callable[[], object]:
    """The comparison of a listing with the table, and the names of what differs."""

    def compared() -> object:
        table, current = Snapshot(root), Current(EXTRACTOR)
        settings = ReconcileSettings(images=IMAGES, root=root)
        hashes = row_hashes(table, settings, current)
        listed = differences.of_listing(listing(rows), hashes)
        return differences.compared(listed, hashes, partial(named_rows, settings, current), EXTRACTOR)

    return compared


MEASURED: dict[str, Callable[[str, int], Callable[[], object]]] = {
    "start, all rows read": start,
    "start, from kept hashes": start,
    "100 new images": partial(batch, 100),
    "50,000 new images": partial(batch, 50_000),
    "reconciliation": reconcile,
}


def of_this_process(name: str, root: str, rows: int) -> list[float]:
    """Seconds of one of MEASURED, and the most memory of this process in MB: its own, and with mapped files."""
    most, done = [0.0, 0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for place, field in enumerate(("RssAnon", "VmRSS")):
                most[place] = max(most[place], _memory_mb(field))

    watcher = threading.Thread(target=watch)
    watcher.start()
    work = MEASURED[name](root, rows)
    began = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    print(found, file=sys.stderr)
    return [seconds, *most]


def _memory_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(f"{field}:")) / 1000


def measured(root: str, rows: int) -> dict[str, list[float]]:
    """All of MEASURED, each in a process of its own."""
    found = {}
    for name in MEASURED:
        if name == "start, from kept hashes":
            add_commits(root)
        command = [sys.executable, __file__, "--measure", name, "--root", root, "--sizes", str(rows)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(answer.stdout)
    return found


def growth(before: float, after: float, factor: float) -> float:
    """By how much a figure grew, per tenfold of the rows."""
    return math.pow(after / before, 1 / math.log10(factor))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what a root of many images costs the driver.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--root", default="", help="folder of the tables, which stay there; without it a temporary one")
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(of_this_process(given.measure, given.root, given.sizes[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(given.root or folder, given.sizes)


def compare(folder: str, sizes: list[int]) -> None:
    """Prints the figures of each size, and their growth."""
    print("| | rows | s | MB of its own | MB with mapped files |\n|---|---|---|---|---|")
    before: tuple[int, dict[str, list[float]]] | None = None
    for rows in sizes:
        root = f"file://{Path(folder).absolute()}/{rows}"
        fill(root, rows)
        KeptRowHashes(root, IMAGES).drop()
        found = measured(root, rows)
        for name, figures in found.items():
            print(f"| {name} | {rows:,} | {figures[0]:.3f} | {figures[1]:.0f} | {figures[2]:.0f} |", flush=True)
            if before:
                pairs = zip(before[1][name], figures, strict=True)
                grown = " | ".join(f"{growth(*pair, rows / before[0]):.2f} times" for pair in pairs)
                print(f"| … per tenfold | | {grown} |", flush=True)
        before = rows, found


if __name__ == "__main__":
    main()
