"""How far a job has come: a bar where a person looks on, else one line a step, or one JSON object a line.

Lines go to stdout. The bar goes to stderr, so that what a job prints stays what it is.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
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
from rich.text import Text

from fruitpipe.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark import StatusTracker
    from rich.progress import Task

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
    """A bar of images on a terminal, with rate, time left and errors so far; nothing elsewhere.

    folder: where workers leave their marks. steps: how many a job with several has.
    """

    def __init__(self, progress: Progress | None = None, title: str = "", folder: str = "", steps: int = 0) -> None:
        self._progress, self._folder, self._steps = progress, Path(folder), steps
        self._done = self._failed = self._begun = self._step = 0
        self._images: int | None = None
        self._tallies: deque[Tally] = deque()
        self._lock = threading.Lock()
        self._task = progress.add_task(title, total=None, rate="", failed="") if progress else TaskID(0)

    @property
    def shown(self) -> bool:
        """Whether there is one to be seen."""
        return self._progress is not None

    def expect(self, images: Callable[[], int | None]) -> None:
        """Asks how many images there are to do, while the work begins; until the answer comes the bar only moves."""
        if self._progress:
            threading.Thread(target=self._ask, args=(self._progress, images), daemon=True, name="fruitpipe-count").start()

    def step(self, title: str, images: int | None = None) -> None:
        """Begins another step, of `images` where that is known; with `follow`, their number is shown once some are done."""
        if self._progress:
            self._step, self._done, self._images = self._step + 1, 0, images
            said = f"{title} ({self._step} of {self._steps})" if self._steps else title
            self._progress.reset(self._task, description=said, completed=0)
            self._progress.tasks[0].total = None if self._steps else images  # reset() takes None for "as it was"

    def begin(self, images: int) -> str | None:
        """Begins a chunk; names the file (fruitpipe.tally) whose marks move the bar until `advance` counts that chunk."""
        if not self._progress:
            return None
        tally = Tally(self._folder / f"{self._begun}", images)
        tally.path.touch()
        with self._lock:
            self._tallies.append(tally)
        self._begun += 1
        if self._begun == 1:
            threading.Thread(target=self._watch, args=(self._progress,), daemon=True, name="fruitpipe-tally").start()
        return str(tally.path)

    def advance(self, images: int, failed: int = 0) -> None:
        """Counts images as done, some of them as failed: those of the oldest chunk that was begun, if any was."""
        if self._progress:
            with self._lock:
                if self._tallies:
                    self._tallies.popleft()
                self._done += images
                self._failed += failed
            self._draw(self._progress)

    def close(self) -> None:
        """Forgets the chunks that were begun and never counted, as their files go."""
        with self._lock:
            self._tallies.clear()

    def follow(self, tracker: StatusTracker) -> None:
        """Moves with the tasks of the Spark stages that run, as a share of the step's images, until the bar ends."""
        if self._progress:
            threading.Thread(target=self._follow, args=(self._progress, tracker), daemon=True, name="fruitpipe-follow").start()

    def _follow(self, progress: Progress, tracker: StatusTracker) -> None:
        while progress.live.is_started:
            stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
            share = max((stage.numCompletedTasks / stage.numTasks for stage in stages if stage.numTasks), default=0.0)
            if share and self._images:
                progress.update(self._task, total=self._images)
                self._show(progress, int(share * self._images))
            time.sleep(FOLLOW_SECONDS)

    def _watch(self, progress: Progress) -> None:
        while progress.live.is_started:
            self._draw(progress)
            time.sleep(FOLLOW_SECONDS)

    def _draw(self, progress: Progress) -> None:
        with self._lock:
            marks = [tally.counted() for tally in self._tallies]
            done, failed = self._done + sum(done for done, _ in marks), self._failed + sum(failed for _, failed in marks)
            self._show(progress, done)
            progress.update(self._task, failed=f"[yellow]{failed} failed[/]" if failed else "")

    def _show(self, progress: Progress, done: int) -> None:
        """Never goes back: a chunk that was counted from its marks is counted once more when it is committed."""
        task = progress.tasks[0]
        progress.update(self._task, completed=max(done, int(task.completed)))
        progress.update(self._task, rate=f"{task.speed:.0f} images/s" if task.speed else "")

    def _ask(self, progress: Progress, images: Callable[[], int | None]) -> None:
        progress.update(self._task, total=images())


class DoneColumn(MofNCompleteColumn):
    """``12/80``, or nothing as long as nothing is known."""

    def render(self, task: Task) -> Text:
        """See rich."""
        return super().render(task) if task.completed or task.total else Text()


@contextmanager
def bar(title: str, *, wanted: bool = True, steps: int = 0) -> Iterator[Bar]:
    """A bar for the length of the block, where it is `wanted` and stderr is a terminal."""
    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield Bar()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DoneColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    times = (TextColumn("{task.fields[failed]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    progress = Progress(*columns, *times, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
    with TemporaryDirectory(prefix="fruitpipe-") as folder, progress:
        bar = Bar(progress, title, folder, steps)
        try:
            yield bar
        finally:
            bar.close()
