"""Cold, warm, edited: what a folder of images costs the model the first time, again, and after a few changes.

    python tests/soak/cold_warm_edit.py [--images 2000]

Counts the model's calls where they are made, in the workers. What is gone reaches the stream by reconciliation, as in operation.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # tests/ is not installed

from pyspark import cloudpickle  # noqa: E402

from fruitpipe.extractor import featurise  # noqa: E402
from fruitpipe.jobs.ingest import ingest  # noqa: E402
from fruitpipe.jobs.reconcile import reconcile  # noqa: E402
from fruitpipe.runtime import session  # noqa: E402
from fruitpipe.settings import IngestSettings, ReconcileSettings  # noqa: E402
from fruitpipe.table import delta  # noqa: E402
from tests import oracle  # noqa: E402
from tests.pictures import fill, jpeg, put  # noqa: E402

CALLS = "FRUITPIPE_TEST_CALLS"
ADDED, OVERWRITTEN, REMOVED, SPOILT = 20, 5, 3, 2


@dataclass(frozen=True)
class CountingFeaturiser(featurise.Featuriser):
    """Leaves a byte in a file for each call of the model, in whichever process it is made."""

    calls: str = ""

    def _outcome(self, extractor: Any, *seen: Any) -> dict[str, Any]:
        def counted(pixels: Any) -> Any:
            with open(self.calls, "ab") as file:
                file.write(b".")
            return extractor(pixels)

        return super()._outcome(counted, *seen)


@contextmanager
def counted(file: Path) -> Iterator[None]:
    """Model calls are counted in a file until the block ends."""
    file.touch()
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the workers do not have the tests
    try:
        with mock.patch.object(
            featurise, "Featuriser", lambda *given, **named: CountingFeaturiser(*given, **named, calls=str(file))
        ):
            yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def edit(images: Path, count: int) -> None:
    """The changes, the same in every run."""
    there = sorted(images.rglob("*.jpg"))
    chosen = random.Random(0).sample(there, OVERWRITTEN + REMOVED + SPOILT)
    fill(images, ADDED, "Lemon", first=count)
    for seed, path in enumerate(chosen[:OVERWRITTEN]):
        before = path.stat()
        body = jpeg(10**6 + seed)
        if seed == 0:  # the one that keeps its size and its time: a JPEG ends with its end marker, what follows is no matter
            while len(body := jpeg(10**6 + seed)) > before.st_size:
                seed += 1000  # noqa: PLW2901 - a smaller picture is looked for
            body += bytes(before.st_size - len(body))
        put(path, body)
        if path == chosen[0]:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    for path in chosen[OVERWRITTEN : OVERWRITTEN + REMOVED]:
        path.unlink()
    for path in chosen[-SPOILT:]:
        put(path, b"garbage in its place")


def cold_warm_edit(folder: Path, count: int) -> dict[str, int]:
    """The model's calls in each of the three runs. Raises AssertionError where the table is not what the folder says."""
    images, root, calls = folder / "images", f"file://{folder}/root", folder / "calls"
    fill(images, count)
    steps = {"cold": lambda: None, "warm": lambda: None, "edited": lambda: edit(images, count)}
    made: dict[str, int] = {}
    with counted(calls):
        for step, change in steps.items():
            change()
            began, before = time.monotonic(), calls.stat().st_size
            run(images, root)
            made[step] = calls.stat().st_size - before
            print(f"{step}: {made[step]} model calls in {time.monotonic() - began:.1f} s", flush=True)
            assert not (wrong := differences(images, root)), wrong
    return made


def run(images: Path, root: str) -> None:
    """Reconciliation, where there is a table, and a run of the stream."""
    if not delta.is_new(root):
        reconcile(ReconcileSettings(images=str(images), root=root))
    ingest(IngestSettings(images=str(images), root=root, once=True))


def differences(images: Path, root: str) -> str:
    bodies = oracle.files(images, ".jpg")
    bad = {b"garbage in its place": "not-an-image"}
    table = delta.rows(session.open("fruitpipe soak"), root)
    return oracle.differences(oracle.expected_rows(f"file://{images}", bodies, bad), oracle.actual_rows(table))


def main() -> None:
    parser = argparse.ArgumentParser(description="Model calls of a folder the first time, again, and after a few changes.")
    parser.add_argument("--images", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruitpipe-soak-") as folder:
        made = cold_warm_edit(Path(folder), given.images)
    assert made == {"cold": given.images, "warm": 0, "edited": ADDED + OVERWRITTEN}, made
    print(f"{given.images} images: {made}; after each run the table equals the folder")


if __name__ == "__main__":
    main()
