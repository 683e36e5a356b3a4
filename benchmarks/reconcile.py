"""Measures the comparison of reconciliation: 1,000,000 listed images against 1,000,000 rows, of which a tenth changed.

    python benchmarks/reconcile.py [--images 1000000] [--rounds 5]

Both tables are in memory before, where the job gives the comparison no more than what may differ (`scale.py`); the rows lie in
another order than the listing. Of each hundred, four have another etag, three are new, three are gone. Prints the seconds of the
comparison, sorted plan included, as median of the rounds with the fastest and the slowest; and the memory that it adds at most to
what the two tables take. Arrow's hash join of the same tables is beside it.
"""

from __future__ import annotations

import argparse
import gc
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fruitpipe.ingest import reconciliation

if TYPE_CHECKING:
    from collections.abc import Callable

EXTRACTOR = "0123456789abcdef"
CHUNK_ROWS = 50_000


def tables(images: int) -> tuple[pa.Table, pa.Table]:
    """The listing and the rows."""
    numbers = np.arange(images + 3 * images // 100)
    last = numbers % 100
    listed = numbers[numbers < images]
    rows = np.random.default_rng(0).permutation(numbers[~((numbers < images) & (last < 3))])
    changed = (rows % 100 >= 3) & (rows % 100 < 7) & (rows < images)
    return _table(reconciliation.LISTED, listed, listed), _table(reconciliation.ROWS, rows, rows + 10**9 * changed)


def _table(schema: pa.Schema, numbers: Any, etags: Any) -> pa.Table:
    rows = (
        (f"s3://fruits-images/in/Label {number % 131:03}/r_{number:07}_100.jpg", f"{etag:032x}", 5000, EXTRACTOR, False)
        for number, etag in zip(numbers.tolist(), etags.tolist(), strict=True)
    )
    return reconciliation.table(schema, (row[: len(schema)] for row in rows), CHUNK_ROWS)


def by_join(listed: pa.Table, rows: pa.Table) -> int:
    """The number of differences by a full outer join."""
    there = listed.drop_columns("length").append_column("there", pa.array(np.ones(len(listed), bool)))
    kept = rows.rename_columns({"etag": "row_etag"}).append_column("kept", pa.array(np.ones(len(rows), bool)))
    both = there.join(kept, "path", join_type="full outer")
    equal: Any = pa.compute.equal(both["etag"], both["row_etag"])
    return len(both) - int(pa.compute.sum(equal).as_py())


def by_plan(listed: pa.Table, rows: pa.Table) -> int:
    found = reconciliation.compare(listed, rows, EXTRACTOR)
    return len(found.new) + len(found.changed) + len(found.gone)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def measured(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds, the megabytes that the process grew by at most, and what `work` gives."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    before, peak, done = resident_mb(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return seconds, max(0.0, peak - before), result


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares a listing with a table of as many rows.")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    listed, rows = tables(given.images)
    size = (listed.nbytes + rows.nbytes) / 1e6
    print(f"{len(listed):,} listed, {len(rows):,} rows; both tables: {size:.0f} MB; the process: {resident_mb():.0f} MB")
    for name, way in (("fruitpipe", by_plan), ("hash join", by_join)):
        rounds = [measured(lambda way=way: way(listed, rows)) for _ in range(given.rounds)]  # type: ignore[misc]
        seconds = [round_[0] for round_ in rounds]
        print(
            f"{name}: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"{max(round_[1] for round_ in rounds):.0f} MB more, {rounds[0][2]:,} differences"
        )


if __name__ == "__main__":
    main()
