"""Measures `fruitpipe status` and `fruitpipe errors` on a large table: seconds and peak memory, beside those on a small one.

    python benchmarks/status.py [--rows 1000000] [--rows-per-commit 20000]

The tables are synthetic: the columns of the features table, 120 labels, one image in a thousand failed. `features` holds 1280
equal numbers a row, which a file stores in little space; neither command reads that column.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.process import cost

LABELS = 120
FAILED = 1000  # one image in so many
SMALL = 1000
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def rows(first: int, count: int) -> pa.Table:
    """`count` rows of the features table from number `first` on."""
    numbers = range(first, first + count)
    good = np.array([number % FAILED != 0 for number in numbers])
    came = [BEGAN + timedelta(seconds=number // 100) for number in numbers]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.full(count * 1280, 0.5, np.float32)), 1280).cast(
        pa.list_(pa.float32())
    )
    times = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "path": [f"s3://fruit/images/Label {number % LABELS}/{number:08}.jpg" for number in numbers],
            "label": [f"Label {number % LABELS}" for number in numbers],
            "modification_time": pa.array([at - timedelta(seconds=3) for at in came], times),
            "length": pa.array([5000] * count, pa.int64()),
            "etag": [f"{number:032x}" for number in numbers],
            "sha256": [f"{number:064x}" for number in numbers],
            "width": pa.array([100] * count, pa.int32()),
            "height": pa.array([100] * count, pa.int32()),
            "features": pa.array(vectors.to_numpy(zero_copy_only=False), pa.list_(pa.float32()), mask=~good),
            "error": pa.array([None if fine else "truncated" for fine in good], pa.string()),
            "error_message": pa.array([None if fine else "12 bytes, without the end" for fine in good], pa.string()),
            "extractor": ["5f18a323512f5821"] * count,
            "ingested_at": pa.array(came, times),
        }
    )


def make(root: str, count: int, rows_per_commit: int) -> None:
    """A features table of `count` rows."""
    for first in range(0, count, rows_per_commit):
        write_deltalake(f"{root}/features", rows(first, min(rows_per_commit, count - first)), mode="append")


def measured(command: str, root: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command as a process of its own."""
    flags = ["--json"] if command == "status" else ["--csv", f"{root}.csv"]
    took = cost("-c", "from fruitpipe.cli import main; main()", command, "--root", root, *flags)
    return took.seconds, took.python_mb


def main() -> None:
    """Prints a line a command and table, and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rows-per-commit", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tables = {SMALL: str(Path(folder, "small")), given.rows: str(Path(folder, "large"))}
        for count, root in tables.items():
            make(root, count, given.rows_per_commit)
        for command in ("status", "errors"):
            took = {count: min(measured(command, root) for _ in range(3)) for count, root in tables.items()}
            for count, (seconds, megabytes) in took.items():
                print(f"{command}, {count} rows: {seconds:.2f} s, {megabytes:.0f} MB at most")
            print(f"{command}, ratio: {took[given.rows][0] / took[SMALL][0]:.2f} times the seconds", flush=True)


if __name__ == "__main__":
    main()
