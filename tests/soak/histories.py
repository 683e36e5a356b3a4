"""Random histories of a folder under the real stream: after reconciliation and one more run the table equals the folder.

    python tests/soak/histories.py [--histories 200] [--seed 0]

A history is made of uploads, overwrites (some with the old size and time), removals, renames and restored old files; of their
events, which come twice, in any order or never; and of runs of the stream, from either source, with Spark or without it where
it may do without, some of which crash before or after the table's commit or find their checkpoint lost; between them the table
is compacted. What it must hold is worked out from the files themselves, and its change feed must tell the same.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from fruitpipe import objects  # noqa: E402
from fruitpipe.ingest import small_run  # noqa: E402
from fruitpipe.ingest.micro_batch import Batches  # noqa: E402
from fruitpipe.ingest.upsert import Upsert  # noqa: E402
from fruitpipe.jobs.ingest import ingest  # noqa: E402
from fruitpipe.jobs.reconcile import reconcile  # noqa: E402
from fruitpipe.root import manifests  # noqa: E402
from fruitpipe.runtime import session  # noqa: E402
from fruitpipe.settings import IngestSettings, ReconcileSettings  # noqa: E402
from fruitpipe.table import delta, upkeep  # noqa: E402
from fruitpipe.table.columns import PROPERTIES  # noqa: E402
from fruitpipe.table.snapshot import INTERVAL, Snapshot  # noqa: E402
from tests import oracle  # noqa: E402
from tests.model import runs  # noqa: E402
from tests.pictures import jpeg  # noqa: E402

STEPS = 20
OFTEN = {INTERVAL: "3"}  # versions from one checkpoint of the log to the next, of which a history has few
# Two names that differ in their spelling alone, two that Spark itself would hide, one that is no image.
NAMES = ["Kiwi/a b.jpg", "Kiwi/a%20b.jpg", "Label=x/pêche.PNG", "top.jpg", "Kiwi/_new.jpg", ".kept/0.jpg", "Kiwi/notes.txt"]
SUFFIXES = (".jpg", ".png")
ANCHOR = "notes for the owner.txt"  # always there: a folder in which nothing at all lies is taken for a mount that went away
GOOD = [jpeg(seed, size=24) for seed in range(6)]
# Contents by number, and for a bad one the reason that is to be found.
BAD = {b"": "empty", GOOD[0][:300]: "truncated", b"<html>gone</html>": "not-an-image"}
BODIES = [*GOOD, *BAD]
FEW = st.sampled_from([0, 5000])  # images that a run takes in without Spark, where it may
CRASHES = st.sampled_from([None, None, "before", "after"])  # the table's commit


class Crash(Exception):
    """The process ended here."""


class BucketHistory(RuleBasedStateMachine):
    """One folder, one root, and what happens to them."""

    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory(prefix="fruitpipe-history-")
        self.images, self.root = Path(self._temporary.name, "images"), Path(self._temporary.name, "root")
        self.images.mkdir()
        (self.images / ANCHOR).touch()
        self.pending: list[manifests.ImageEvent] = []
        self.sequence = 0
        self.spark = session.open("fruitpipe histories")

    @initialize(bodies=st.lists(st.sampled_from(BODIES), min_size=3, max_size=len(NAMES)))
    def begin(self, bodies: list[bytes]) -> None:
        for name, body in zip(NAMES, bodies, strict=False):
            self._put(self.images / name, body)

    @rule(name=st.sampled_from(NAMES), body=st.sampled_from(BODIES))
    def upload(self, name: str, body: bytes) -> None:
        self._put(self.images / name, body)

    @rule(number=st.integers(0), seed=st.integers(0, 9))
    def overwrite_with_the_old_size_and_time(self, number: int, seed: int) -> None:
        path = self._chosen(number)
        if path is not None:
            before = path.stat()
            body = random.Random(seed).randbytes(before.st_size)
            path.write_bytes(body)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            self._happened("created", path)

    @rule(number=st.integers(0))
    def remove(self, number: int) -> None:
        path = self._chosen(number)
        if path is not None:
            path.unlink()
            self._happened("removed", path)

    @rule(number=st.integers(0), to=st.sampled_from(NAMES))
    def rename(self, number: int, to: str) -> None:
        path = self._chosen(number)
        if path is not None and path != self.images / to:
            (self.images / to).parent.mkdir(exist_ok=True)
            path.rename(self.images / to)
            self._happened("removed", path)
            self._happened("created", self.images / to)

    @rule(number=st.integers(0), days=st.sampled_from([1, 10, 400]))
    def restore_an_old_time(self, number: int, days: int) -> None:
        path = self._chosen(number)
        if path is not None:
            old = time.time() - days * 86400
            os.utime(path, (old, old))
            self._happened("created", path)

    @precondition(lambda self: self.pending)
    @rule(order=st.randoms(use_true_random=False), lost=st.integers(0, 2), twice=st.booleans())
    def deliver(self, order: random.Random, lost: int, twice: bool) -> None:
        """The events so far, shuffled, some of them lost and perhaps all of them twice."""
        told = order.sample(self.pending, max(len(self.pending) - lost, 0)) * (1 + twice)
        order.shuffle(told)
        self.pending = self.pending if twice else []
        for body in manifests.manifests(told, max_lines=3):
            now = datetime.now(UTC)
            objects.write(manifests.manifest_uri(f"file://{self.root}", now, manifests.manifest_name("test", now, body)), body)

    @precondition(lambda self: self._seen())
    @rule(files=st.sampled_from([2, 100]), crash=CRASHES, few=FEW)
    def run_from_the_listing(self, files: int, crash: str | None, few: int) -> None:
        self._run("prefix", crash, max_files_per_trigger=files, images_without_spark=few)

    @rule(files=st.sampled_from([2, 100]), crash=CRASHES, few=FEW)
    def run_from_the_manifests(self, files: int, crash: str | None, few: int) -> None:
        self._run("events", crash, max_files_per_trigger=files, images_without_spark=few)

    @precondition(lambda self: (self.root / "features").exists())
    @rule()
    def compact(self) -> None:
        upkeep.compact(self.spark, self.root.as_uri(), 1_000_000)
        self.counts["compactions"] += 1

    @rule()
    def lose_the_checkpoint(self) -> None:
        objects.delete_all(f"file://{self.root}/checkpoints")

    def teardown(self) -> None:
        """The end of every history: a reconciliation and a run; the table equals the folder, and nothing is left to do."""
        self.counts["histories"] += 1
        try:
            self._ingest("events")
            self._reconcile()
            self._ingest("prefix" if self._seen() else "events")
            self._assert_equal()
            manifests = len(list(objects.list_all(f"file://{self.root}/events")))
            self._reconcile()
            assert len(list(objects.list_all(f"file://{self.root}/events"))) == manifests, "it found something to do again"
            print(f"history {self.counts['histories']}: {self.sequence} changes, the table equals the folder", flush=True)
        finally:
            self._temporary.cleanup()

    def _assert_equal(self) -> None:
        bodies = oracle.files(self.images, *SUFFIXES)
        bad = {body: BAD.get(body, "not-an-image") for body in bodies.values() if body not in GOOD}
        expected = oracle.expected_rows(f"file://{self.images}", bodies, bad)
        found = oracle.actual_rows(delta.rows(self.spark, f"file://{self.root}"))
        assert not (wrong := oracle.differences(expected, found)), wrong
        changes = delta.changes(self.spark, self.root.as_uri(), -1, Snapshot(self.root.as_uri()).version).collect()
        assert net(changes) == Counter(row["path"] for row in delta.rows(self.spark, self.root.as_uri()).collect())

    def _run(self, source: str, crash: str | None, **more: Any) -> None:
        """One run of the stream, which may die just before or just after a batch is committed to the table."""
        try:
            with dying(crash):
                self._ingest(source, **more)
            self.counts["runs to the end"] += 1
        except Crash:
            self.counts[f"runs that died {crash} a commit"] += 1

    def _put(self, path: Path, body: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        self._happened("created", path)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.images.rglob("*") if path.is_file() and path.name != ANCHOR)

    def _seen(self) -> bool:
        """Whether there is an image at all: a stream that lists a prefix without any refuses to start."""
        return any(path.suffix.lower() in SUFFIXES for path in self._files())

    def _chosen(self, number: int) -> Path | None:
        files = self._files()
        return files[number % len(files)] if files else None

    def _happened(self, kind: Any, path: Path) -> None:
        self.counts["changes"] += 1
        self.sequence += 1
        if path.suffix != ".txt":
            self.pending.append(manifests.ImageEvent(kind, f"file://{path}", sequencer=f"{self.sequence:08X}"))

    def _ingest(self, source: Any, **more: Any) -> None:
        count = mock.patch.object(small_run.Appends, "add", autospec=True, side_effect=small_run.Appends.add)
        with contextlib.redirect_stdout(io.StringIO()), count as without_spark:
            ingest(IngestSettings(images=str(self.images), root=str(self.root), source=source, once=True, **more))
        self.counts["commits without Spark"] += without_spark.call_count

    def _reconcile(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            reconcile(ReconcileSettings(images=str(self.images), root=str(self.root), allow_removals=True))


def net(changes: Iterable[Any]) -> Counter[str]:
    """How many rows of each image there are by the change feed from the table's beginning."""
    signs = {"insert": 1, "update_postimage": 1, "delete": -1, "update_preimage": -1}
    rows: Counter[str] = Counter()
    for change in changes:
        rows[change["path"]] += signs[change["_change_type"]]
    return +rows


@contextlib.contextmanager
def dying(when: str | None) -> Any:
    """A process that ends at its first commit: before the table has it, or between the table and what says that it is done."""

    def dies(*_: Any) -> None:
        raise Crash

    def commits_and_dies(batches: Batches, *batch: Any) -> None:
        commit(batches, *batch)
        raise Crash

    commit = Batches._commit
    if when == "before":
        with mock.patch.object(Upsert, "_commit", dies):
            yield
    elif when == "after":
        with mock.patch.object(Batches, "_commit", commits_and_dies), mock.patch.object(small_run, "carried_out", dies):
            yield
    else:
        yield


def run(histories: int, seed: int | None, *, shrink: bool = False) -> Counter[str]:
    """Runs so many histories and counts what happened in them. The same ones for the same seed; None: always the same."""
    with mock.patch.dict(PROPERTIES, OFTEN):
        return runs.run(BucketHistory, histories, STEPS, seed, shrink=shrink)


def main() -> None:
    parser = argparse.ArgumentParser(description="Random histories of a folder under the real stream.")
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = run(given.histories, given.seed)
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"seed {given.seed}: {said}; the table equals the folder after each history")


if __name__ == "__main__":
    main()
