"""The bound: as many plain processes as cores, each of which reads, decodes and infers its share and writes nothing.

They load their model before the clock starts, so this is what an engine can reach that costs nothing at all.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import engine

WARM_UPS = 20  # images before the clock starts


def share(files: list[Path], model: str, features: Callable[[str], Callable[[bytes], object]], ready: Any, go: Any) -> None:
    """The work of one process. ready, go: a queue and an event."""
    work = features(model)
    for file in files[:WARM_UPS]:
        work(file.read_bytes())
    ready.put(None)
    go.wait()
    for file in files:
        work(file.read_bytes())


def bound(images: str, _out: str, model: str, features: Callable[[str], Callable[[bytes], object]] = engine.Features) -> None:
    """Up when all are ready, done with the last."""
    files, cores = sorted(Path(images).glob("*/*.jpg")), os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    ready, go = context.Queue(), context.Event()
    shares = [context.Process(target=share, args=(files[core::cores], model, features, ready, go)) for core in range(cores)]
    for process in shares:
        process.start()
    for _ in shares:
        ready.get()
    engine.say(engine.UP)
    go.set()
    for process in shares:
        process.join()
    assert not any(process.exitcode for process in shares), "a process failed"


if __name__ == "__main__":
    engine.run(bound)
