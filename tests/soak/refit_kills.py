"""Kills the refit with signal 9 at each step of publication, while a reader in a process of its own looks at every version.

    python tests/soak/refit_kills.py [--rounds 50] [--seed 0] [--root FOLDER]

Each round starts batch/refit.py as anybody would, waits until the files of one step are there and kills the process: the driver
alone, whose workers then end as they may, or the whole tree at once, as a power cut does. Then the next refit runs to its end
and must leave nothing but published versions. The reader must never find a version that is missing, mixed or half written.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from fruitpipe.refit import pointer, publication, version_model  # noqa: E402
from tests import processes  # noqa: E402

KEEP = 3
DEADLINE_SECONDS = 300
DIMENSIONS = 1280
FIRST_ROWS, NEW_ROWS = 60, 6


@dataclass(frozen=True)
class Before:
    """What was there when a round began."""

    root: Path
    folders: frozenset[str]
    versions: tuple[str, ...]

    @property
    def new(self) -> str | None:
        """The version that the refit works on, once it claimed one."""
        return next(iter(sorted(names(self.root / "models") - self.folders)), None)

    def has(self, kind: str, start: str) -> bool:
        """Whether the new version's folder holds a file of that name."""
        return any(name.startswith(start) for name in names(self.root / kind / self.new)) if self.new else False


def names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return set()


def pointer_begun(before: Before) -> bool:
    return any(name.startswith(".latest.json.") and not name.endswith(".lock") for name in names(before.root / "reduced"))


def switched(before: Before) -> bool:
    return before.new in published(before.root)


def published(root: Path) -> tuple[str, ...]:
    found = pointer.find(str(root))
    return found.versions if found else ()


# In the order in which a refit takes them. A step that is too short to be seen is passed, and the next one is taken.
STEPS: dict[str, Callable[[Before], bool]] = {
    "claim": lambda before: before.new is not None,
    "data begun": lambda before: before.has("reduced", ""),
    "data written": lambda before: before.has("reduced", "part-"),
    "model arrays": lambda before: before.has("models", "reduction.npz"),
    "model table": lambda before: before.has("models", "explained_variance.csv"),
    "classifier": lambda before: before.has("models", "classifier.npz"),
    "model facts": lambda before: before.has("models", "reduction.json"),
    "pointer begun": lambda before: pointer_begun(before) or switched(before),
    "pointer": switched,
    "pruning": lambda before: published(before.root) != before.versions and before.versions[0] not in published(before.root),
    "pruned": lambda before: before.versions[0] not in names(before.root / "reduced"),
}


def soak(root: Path, rounds: int, seed: int, refit: Callable[..., None], add: Callable[[int, int], None]) -> int:
    """Runs the rounds and returns how many refits were killed. `add` appends rows: their number, and that of the first.

    `refit` runs one to its end, in a session that is warm. Raises AssertionError for whatever must not be.
    """
    print(f"{rounds} rounds, seed {seed}", flush=True)
    chance = random.Random(seed)
    add(FIRST_ROWS, 0)
    for _ in range(KEEP):
        refit(root=str(root), components=3, keep=KEEP)
    kills = 0
    with reader(root):
        for number in range(rounds):
            add(NEW_ROWS, FIRST_ROWS + NEW_ROWS * number)
            kills += one_round(root, number, chance)
            refit(root=str(root), components=3 + number % 5, keep=KEEP)
            assert_no_leftovers(root)
    return kills


def one_round(root: Path, number: int, chance: random.Random) -> bool:
    """Starts a refit and kills it; whether it was still there to be killed."""
    steps = [*STEPS, "any moment"]
    step, whole_tree = steps[number % len(steps)], chance.random() < 0.5
    wanted = chance.choice((["--components", str(chance.randint(2, 9))], ["--variance", "0.01", "--unless-current"]))
    before = Before(root, frozenset(names(root / "models")), published(root))
    process = start(root, *wanted)
    due = time.monotonic() + chance.uniform(5, 15) if step == "any moment" else None
    reached = (lambda: time.monotonic() > due) if due else (lambda: STEPS[step](before))
    while process.poll() is None and not reached():
        time.sleep(0.0005)
    killed = process.poll() is None
    assert killed or process.returncode == 0, f"{process.args} ended with {process.returncode}"
    kill(process, whole_tree=whole_tree)
    how = f"killed at: {step} ({'all processes' if whole_tree else 'the driver alone'})" if killed else f"ended before: {step}"
    print(f"round {number}: {' '.join(wanted)}, {how}; {published(root)[-1]} is the newest", flush=True)
    return killed


def start(root: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "batch/refit.py", "--root", str(root), "--keep", str(KEEP), *flags]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes], *, whole_tree: bool) -> None:
    """Signal 9 to the process, and to those that it started or not; returns when none of them is left."""
    family = list(processes.tree(process.pid)) if process.poll() is None else []
    for pid in family if whole_tree else [process.pid] * bool(family):
        processes.kill(pid)
    process.wait()
    processes.wait_for_end(family)


def assert_no_leftovers(root: Path) -> None:
    """After a refit that ran to its end there are the published versions, and nothing of those that were killed."""
    expected = set(published(root))
    assert names(root / "models") == expected
    assert names(root / "reduced") == expected | {"latest.json", ".latest.json.lock"}
    for version in expected:
        assert all(name.startswith("part-") and name.endswith(".parquet") for name in names(root / "reduced" / version))


@contextmanager
def reader(root: Path) -> Iterator[None]:
    """A process that reads versions until the block ends. Raises AssertionError with what it found wrong."""
    with tempfile.TemporaryDirectory() as folder:
        stop = Path(folder, "stop")
        command = [sys.executable, __file__, "--root", str(root), "--read-until", str(stop)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield
        finally:
            stop.touch()
            said, _ = process.communicate(timeout=DEADLINE_SECONDS)
    print(f"reader: {said.strip()}", flush=True)
    assert process.returncode == 0, said


def read_until(root: Path, stop: Path) -> None:
    """The reader's work: every look is a whole version, whatever happens meanwhile."""
    looks, seen = 0, set()
    while not stop.exists():
        seen.add(read_whole_version(str(root)))
        looks += 1
        time.sleep(0.01)  # leaves the processor to those that it watches
    assert looks, "it never looked"
    print(f"{looks} looks, {len(seen)} versions, all whole")


def read_whole_version(root: str) -> str:
    """Reads the current version as a consumer does and returns its name. Raises AssertionError where its parts do not agree."""
    version = publication.current(root)
    model = version_model.load_model(root, version)
    rows = 0
    for file in sorted(Path(root, "reduced", version).glob("*.parquet")):
        lengths = pq.read_table(file)["pca_features"].combine_chunks().value_lengths().unique().to_pylist()
        assert lengths == [model.reduction.k], f"{file}: vectors of {lengths} numbers, k is {model.reduction.k}"
        rows += pq.ParquetFile(file).metadata.num_rows
    facts = model.facts
    assert (facts["version"], facts["k"], facts["rows"]) == (version, model.reduction.k, rows), f"{facts} and {rows} rows"
    assert model.summary.moments.count == rows
    return version


def appender(root: Path) -> Callable[[int, int], None]:
    """What adds rows to the features table at `root`, in the session that is there."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

    from fruitpipe.runtime import session
    from fruitpipe.table import delta, schema
    from tests.rows import append_rows

    spark = session.open("fruitpipe soak")

    def add(count: int, first: int) -> None:
        delta.create(spark, str(root))
        vectors = np.random.default_rng(first).random((count, DIMENSIONS), np.float32)
        columns = {
            "path": [f"file:///images/Kiwi/{number:06}.jpg" for number in range(first, first + count)],
            "label": ["Kiwi"] * count,
            "features": pa.array(list(vectors), pa.list_(pa.float32())),
            "extractor": ["soak"] * count,
            "ingested_at": [datetime.now(UTC)] * count,
        }
        known = spark.createDataFrame(pa.table(columns)).repartition(2)  # so that a version has more files than one
        absent = [F.lit(None).cast(field.dataType).alias(field.name) for field in schema.FEATURES if field.name not in columns]
        append_rows(str(root), known.select("*", *absent))

    return add


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills the refit at each step of publication, under a reader's eyes.")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, help="an empty folder (default: a temporary one)")
    parser.add_argument("--read-until", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read_until:
        read_until(given.root, given.read_until)
        return
    from fruitpipe.jobs.refit import refit
    from fruitpipe.settings import RefitSettings

    with tempfile.TemporaryDirectory(prefix="fruitpipe-soak-") as folder:
        root = given.root or Path(folder, "root")
        kills = soak(root, given.rounds, given.seed, lambda **how: refit(RefitSettings(**how)), appender(root))
    print(f"{kills} of {given.rounds} refits were killed, and no reader noticed")


if __name__ == "__main__":
    main()
