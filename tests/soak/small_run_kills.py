"""Kills runs that do without Spark with signal 9 at random moments: the table ends as the folder, each image once.

    python tests/soak/small_run_kills.py [--rounds 60] [--seed 0]

Each round adds images, starts `fruitpipe ingest --once`, kills it, or one of its workers, at some moment of the time that such a
run takes, and starts it again until one ends by itself. Then the table must be that of the folder, whoever computed what.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import deltalake

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from tests import oracle, processes  # noqa: E402
from tests.pictures import jpeg, put  # noqa: E402

NEW = 5
LONGEST_SECONDS = 120
INGEST = [sys.executable, "streaming/ingest.py", "--once", "--compact-commits", "0"]


def started(images: Path, root: Path) -> subprocess.Popen[bytes]:
    command = [*INGEST, "--images", str(images), "--root", str(root)]
    environment = os.environ | {"FRUITPIPE_IMAGES_WITHOUT_SPARK": "5000"}
    return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def killed(run: subprocess.Popen[bytes], chance: random.Random, whole_seconds: float) -> str:
    """Kills the run, or a process below it, at some moment; returns which, or that it had ended."""
    moment, kind = chance.uniform(0, whole_seconds), chance.choice(("run", "worker"))
    try:
        run.wait(moment)
    except subprocess.TimeoutExpired:
        below = [process for process in processes.tree(run.pid) if process != run.pid]
        targets = [run.pid] if kind == "run" or not below else [chance.choice(below)]
        processes.kill(targets[0])
        return "run" if targets == [run.pid] else "worker"
    return "none"


def caught_up(images: Path, root: Path) -> float:
    """Runs until one ends by itself; returns how long that took."""
    began = time.monotonic()
    run = started(images, root)
    said, _ = run.communicate(timeout=LONGEST_SECONDS)
    assert run.returncode == 0, said.decode()
    return time.monotonic() - began


def check(images: Path, root: Path) -> None:
    """The table holds each image of the folder once, with the features that it has by itself."""
    expected = oracle.expected_rows(f"file://{images}", oracle.files(images, ".jpg"), {})
    found = oracle.rows_of(deltalake.DeltaTable(str(root / "features")).to_pyarrow_table())
    assert not (wrong := oracle.differences(expected, found)), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills of runs without Spark.")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, counts = random.Random(given.seed), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-small-") as folder:
        images, root = Path(folder, "images"), Path(folder, "root")
        whole_seconds = 5.0
        for round_ in range(given.rounds):
            for number in range(NEW):
                put(images / "Kiwi" / f"{round_:03}-{number}.jpg", jpeg(round_ * NEW + number, size=48))
            run = started(images, root)
            counts[killed(run, chance, whole_seconds)] += 1
            run.communicate()
            whole_seconds = 0.5 * (whole_seconds + min(10.0, caught_up(images, root)))
            check(images, root)
    said = ", ".join(f"{count} of {what}" for what, count in sorted(counts.items()))
    print(f"seed {given.seed}: {given.rounds} rounds, kills: {said}; each image has one row after each round")


if __name__ == "__main__":
    main()
