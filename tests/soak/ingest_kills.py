"""Kills the stream with signal 9 at random moments, and compares what it makes of the images with an undisturbed stream's table.

    python tests/soak/ingest_kills.py [--rounds 45] [--first 0] [--seed 0] [--local]

The stream runs on a cluster of two executors. Each round adds, overwrites and removes images and then kills the driver (its
JVM, its Python or both), an executor or a Python worker, in turn; in a third of the rounds a second process is killed while
the stream recovers from the first. A stream that is gone is started again, as a supervisor does; it should outlive all but the
death of its driver, so each end of its own is counted. Then its table must become the undisturbed one's: one row an image, equal
in all but the time of the commit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from fruitpipe import objects  # noqa: E402
from fruitpipe.root import manifests  # noqa: E402
from tests import cluster, processes  # noqa: E402
from tests.pictures import jpeg  # noqa: E402

NEW, OVERWRITTEN = 8, 2
DEADLINE_SECONDS = 240
ENDED = (0, 130)  # after the batch in progress, and before there was one
KINDS = ("driver", "executor", "worker")
JVM, SCRIPT, EXECUTOR, WORKER = (
    "org.apache.spark.deploy.SparkSubmit",
    "streaming/ingest.py",
    "CoarseGrainedExecutor",
    "pyspark.daemon",
)


@dataclass
class Stream:
    """The stream under test: `command` starts it, and `executors` are the processes below which those of the cluster run."""

    command: list[str]
    log: Path
    executors: tuple[int, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    stops: int = 0  # by itself, for what was killed beneath it

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, cwd=CHECKOUT, env=self.environment, stdout=log, stderr=log)

    def wait_until(self, look: Callable[[], Any], what: str) -> Any:
        """What `look` finds. Meanwhile a stream that ended by itself is started again, as by a supervisor, and counted."""
        return wait_until(lambda: self._goes_on() and look(), what)

    def _goes_on(self) -> bool:
        if self.process.poll() is None:
            return True
        self.stops += 1
        self.start()
        return False

    def targets(self, kind: str, chance: random.Random) -> list[int]:
        """The processes of one kind, of which there may be none yet. Of a driver one or all of its processes are to go.

        The daemon that starts the workers goes with them: Spark would go on with those it left, which are below nobody then.
        """
        family = list(processes.tree(self.process.pid))
        if kind == "driver":
            jvm = [pid for pid in family if JVM in processes.command(pid)]
            python = [pid for pid in family if SCRIPT in processes.command(pid) and pid not in jvm]
            return chance.choice([family, jvm or family, python or family])
        below = [pid for top in self.executors for pid in processes.tree(top)] or family
        found = [pid for pid in below if (EXECUTOR if kind == "executor" else WORKER) in processes.command(pid)]
        if not found:
            return []
        one = chance.choice(found)
        return list(processes.tree(one)) if kind == "worker" else [one]

    def kill(self, kind: str, chance: random.Random) -> None:
        """Kills one of a kind, as soon as there is one; a driver is waited for and started again."""
        targets = self.wait_until(lambda: self.targets(kind, chance), f"process of the kind {kind}")
        family = list(processes.tree(self.process.pid))
        for pid in targets:
            processes.kill(pid)
        if kind == "driver":
            self.process.wait()
            processes.wait_for_end(family)
            self.start()

    def stop(self) -> int:
        """Asks it to end, as an operator does, once it is under way, and returns its exit code."""
        for pid in wait_until(self._listening, "stream that listens to SIGTERM"):
            os.kill(pid, signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def _listening(self) -> list[int]:
        """The job's own process, unless it is still starting."""
        jobs = (
            pid
            for pid in processes.tree(self.process.pid)
            if SCRIPT in processes.command(pid) and JVM not in processes.command(pid)
        )
        return [pid for pid in jobs if processes.catches(pid, signal.SIGTERM)]


@dataclass(frozen=True)
class Progress:
    """How far a stream has come, as its files tell."""

    offsets: int
    files: frozenset[str]
    version: int

    @classmethod
    def of(cls, root: Path) -> Progress:
        data = frozenset(name for name in names(root / "features") if name.endswith(".parquet"))
        return cls(greatest(root / "checkpoints/ingest/offsets"), data, greatest(root / "features/_delta_log"))


# The moments of a batch that a kill may wait for, in their order.
MOMENTS: dict[str, Callable[[Progress, Progress], bool]] = {
    "offsets written": lambda before, now: now.offsets > before.offsets,
    "rows written": lambda before, now: bool(now.files - before.files),
    "table committed": lambda before, now: now.version > before.version,
}


def names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return set()


def greatest(folder: Path) -> int:
    """The greatest number that names a file of a log; -1 where there is none."""
    return max((int(stem) for name in names(folder) if (stem := name.removesuffix(".json")).isdigit()), default=-1)


def wait_until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, f"no {what} in {DEADLINE_SECONDS} s"
        time.sleep(0.002)
    return seen


@dataclass
class Soak:
    """The rounds: what they change, whom they kill, what they compare."""

    folder: Path
    stream: Stream
    undisturbed: Callable[[Path, Path], None]  # runs another stream on the same images into another root, to its end
    rows: Callable[[Path], list[tuple[Any, ...]]]  # of the table at a root, sorted
    kinds: tuple[str, ...] = KINDS
    kills: int = 0

    def __post_init__(self) -> None:
        self.images, self.root, self.other_root = (self.folder / name for name in ("images", "root", "undisturbed"))

    def run(self, rounds: range, seed: int) -> None:
        """Raises AssertionError with the round and the difference."""
        print(f"rounds {rounds.start} to {rounds.stop - 1}, seed {seed}", flush=True)
        self.change(rounds.start, random.Random(seed))
        self.stream.start()
        try:
            for number in rounds:
                said = self.one_round(number, random.Random(f"{seed} {number}"))
                print(f"round {number}: {said}; {self.compare()} rows, 0 differences", flush=True)
            code = self.stream.stop()
            assert code in ENDED, f"the stream did not end as it was asked to, but with {code}"
            assert self.rows(self.root) == self.rows(self.other_root), "rows changed while the stream ended"
        finally:
            for pid in list(processes.tree(self.stream.process.pid)):
                processes.kill(pid)

    def one_round(self, number: int, chance: random.Random) -> str:
        before = Progress.of(self.root)
        self.change(number, chance)
        kind, moment = self.kinds[number % len(self.kinds)], chance.choice([*MOMENTS, "any moment"])
        if moment == "any moment":
            time.sleep(chance.uniform(0, 4))  # the chance is the point
        else:
            self.stream.wait_until(lambda: MOMENTS[moment](before, Progress.of(self.root)), f"moment at which {moment}")
        self.stream.kill(kind, chance)
        self.kills += 1
        said = f"{kind} killed, {moment}"
        if number // len(self.kinds) % 3 == 2:
            seconds, second = chance.uniform(0, 12 if kind == "driver" else 3), chance.choice(self.kinds)
            time.sleep(seconds)
            self.stream.kill(second, chance)
            self.kills += 1
            said += f", and {second} {seconds:.1f} s into the recovery"
        return said

    def change(self, number: int, chance: random.Random) -> None:
        """New images, one of them damaged; some overwritten, which manifests tell too, and one removed, which they alone tell."""
        there = sorted(self.images.rglob("*.jpg"))
        for seed in range(number * NEW, number * NEW + NEW):
            self.write(self.images / f"Label {number % 5}" / f"{seed:05}.jpg", jpeg(seed)[: 500 if seed % NEW == 0 else None])
        lines = []
        for path in chance.sample(there, min(OVERWRITTEN, len(there))):
            self.write(path, jpeg(chance.randrange(10**6, 10**9)))
            lines.append(manifests.to_line(manifests.ImageEvent("created", f"file://{path}")))
        if there:
            gone = chance.choice(there)
            gone.unlink()
            lines.append(manifests.to_line(manifests.ImageEvent("removed", f"file://{gone}")))
        now, body = datetime.now(UTC), "".join(f"{line}\n" for line in lines).encode()
        for root in (self.root, self.other_root):
            objects.write(manifests.manifest_uri(f"file://{root}", now, f"{number:05}"), body)

    def write(self, path: Path, body: bytes) -> None:
        """In one step, so that no listing sees half of it."""
        objects.write(f"file://{path}", body)

    def compare(self) -> int:
        """Waits till both tables are equal and returns their number of rows."""
        self.undisturbed(self.images, self.other_root)
        expected = self.rows(self.other_root)
        try:
            self.stream.wait_until(lambda: self.rows(self.root) == expected, "table equal to the undisturbed one's")
        except AssertionError as error:
            raise AssertionError(f"{error}: {difference(expected, self.rows(self.root))}") from error
        return len(expected)


def difference(expected: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> str:
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return f"{len(expected)} rows expected, {len(found)} found; missing {missing[:3]}; surplus {surplus[:3]}"


def in_this_session() -> dict[str, Callable[..., Any]]:
    """The undisturbed stream and the reader of tables, in a local session of this process."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own usage

    from fruitpipe.jobs.ingest import ingest
    from fruitpipe.runtime import session
    from fruitpipe.settings import IngestSettings
    from fruitpipe.table import columns, delta

    spark = session.open("fruitpipe soak")
    compared = [column for column in columns.COLUMNS if column not in ("features", "ingested_at")]

    def undisturbed(images: Path, root: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            ingest(IngestSettings(images=str(images), root=str(root), once=True))

    def rows(root: Path) -> list[tuple[Any, ...]]:
        if delta.is_new(f"file://{root}"):
            return []
        table = delta.rows(spark, f"file://{root}").select(*compared, F.xxhash64("features"))
        return sorted((tuple(row) for row in table.collect()), key=lambda row: str(row[0]))

    return {"undisturbed": undisturbed, "rows": rows}


def stream_on(there: cluster.Cluster | None, folder: Path) -> Stream:
    """The stream as a job of a cluster, or of one process and what it starts."""
    job = [SCRIPT, "--images", str(folder / "images"), "--root", str(folder / "root"), "--trigger-seconds", "1"]
    if there is None:
        return Stream([sys.executable, *job], folder / "stream.log")
    settings = {"spark.executorEnv.PYTHONPATH": str(CHECKOUT), "spark.databricks.delta.snapshotPartitions": "2"}
    begin = cluster.submit_command(there, sys.executable, sys.executable, **settings)
    environment = cluster.submit_environment() | {"PYTHONPATH": str(CHECKOUT)}
    return Stream([*begin, *job], folder / "stream.log", (there.worker,), environment)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kills the stream at random moments and compares with an undisturbed one.")
    parser.add_argument("--rounds", type=int, default=45)
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to run them in pieces")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--local", action="store_true", help="everything in one process and its workers, no executors")
    given = parser.parse_args()
    rounds = range(given.first, given.first + given.rounds)
    with tempfile.TemporaryDirectory(prefix="fruitpipe-soak-") as name:
        folder = Path(name)
        if given.local:
            soak = Soak(folder, stream_on(None, folder), **in_this_session(), kinds=("driver", "worker"))
            soak.run(rounds, given.seed)
        else:
            with cluster.started(folder, sys.executable) as there:
                soak = Soak(folder, stream_on(there, folder), **in_this_session())
                soak.run(rounds, given.seed)
    print(f"{soak.kills} kills in {given.rounds} rounds, 0 differences; the stream ended by itself {soak.stream.stops} times")


if __name__ == "__main__":
    main()
