"""How far a job has come: a bar where a person looks on, else one line a step, or one JSON object a line.

Lines go to stdout. The bar goes to stderr, so that what a job prints stays what it is.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark import StatusTracker


FOLLOW_SECONDS = 0.5


@dataclass(frozen=True)
class Commit:
    """What one commit of the stream did.

    outcomes: images by outcome. errors: failed images by reason. lag_seconds: the longest that one of its images waited from its
    upload to its row. seconds: by phase, of work; two commits overlap, so they may add up to more than has passed.
    """

    outcomes: Counter[str]
    errors: Counter[str] = field(default_factory=Counter)
    lag_seconds: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def line(name: str, commit: Commit, seconds: float) -> str:
    """A commit in one line for people, with the seconds that have passed since the one before."""
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(commit.outcomes.items()))
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(commit.errors.items()))
    why = f" (failed: {reasons})" if reasons else ""
    return f"{name}: {said}{why} in {seconds:.1f} s ({commit.outcomes.total() / seconds:.0f} images/s)"


def json_line(name: str, commit: Commit, seconds: float, now: datetime | None = None) -> str:
    """A commit as one JSON object: what happened, how fast, how late, and where the time went."""
    images = commit.outcomes.total()
    told = {
        "event": "commit",
        "at": (now or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "batch": name,
        "images": images,
        "outcomes": dict(sorted(commit.outcomes.items())),
        "errors": dict(sorted(commit.errors.items())),
        "images_per_second": round(images / seconds, 1),
        "lag_seconds": None if commit.lag_seconds is None else round(commit.lag_seconds, 3),
        "seconds": round(seconds, 3),
        "seconds_by_phase": {phase: round(spent, 3) for phase, spent in commit.seconds.items()},
    }
    return json.dumps(told, ensure_ascii=False)


class Bar:
    """A bar of images on a terminal, with rate, time left and errors so far; nothing elsewhere."""

    def __init__(self, progress: Progress | None = None, title: str = "") -> None:
        self._progress, self._failed = progress, 0
        self._task = progress.add_task(title, total=None, rate="", failed="") if progress else TaskID(0)

    def expect(self, images: Callable[[], int | None]) -> None:
        """Asks how many images there are to do, while the work begins; until the answer comes the bar only moves."""
        if self._progress:
            threading.Thread(target=self._ask, args=(self._progress, images), daemon=True, name="fruitpipe-count").start()

    def step(self, title: str, images: int | None = None) -> None:
        """Begins another step, of `images` where that is known, at its start."""
        if self._progress:
            self._progress.reset(self._task, total=images, description=title, completed=0)

    def advance(self, images: int, failed: int = 0) -> None:
        """Counts images as done, some of them as failed."""
        if not self._progress:
            return
        self._failed += failed
        self._progress.advance(self._task, images)
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.0f} images/s" if speed else ""
        self._progress.update(self._task, rate=rate, failed=f"[yellow]{self._failed} failed[/]" if self._failed else "")

    def follow(self, tracker: StatusTracker) -> None:
        """Moves with the tasks of the Spark stages that run, as a share of the step's images, until the bar ends."""
        if self._progress:
            threading.Thread(target=self._follow, args=(self._progress, tracker), daemon=True, name="fruitpipe-follow").start()

    def _follow(self, progress: Progress, tracker: StatusTracker) -> None:
        while progress.live.is_started:
            stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
            shares = [stage.numCompletedTasks / stage.numTasks for stage in stages if stage.numTasks]
            total = progress.tasks[0].total
            if shares and total:
                progress.update(self._task, completed=int(max(shares) * total))
            time.sleep(FOLLOW_SECONDS)

    def _ask(self, progress: Progress, images: Callable[[], int | None]) -> None:
        progress.update(self._task, total=images())


@contextmanager
def bar(title: str, *, wanted: bool = True) -> Iterator[Bar]:
    """A bar for the length of the block, where it is `wanted` and stderr is a terminal."""
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield Bar()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    times = (TextColumn("{task.fields[failed]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        yield Bar(progress, title)
