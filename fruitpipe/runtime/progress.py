"""Shows a job's progress: a bar on a terminal, and a line, or a JSON object, for each commit.

Lines go to stdout, the bar to stderr, so that a job's output is the same with and without it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from fruitpipe.outcome import Outcome
from fruitpipe.output import to_json
from fruitpipe.runtime.image_count import ImageCount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyspark import StatusTracker
    from rich.progress import Progress, TaskID

FOLLOW_SECONDS = 0.5
NO_ROW_WRITTEN = (Outcome.UNCHANGED, Outcome.KEPT, Outcome.GONE)


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

    @property
    def rows(self) -> int:
        """How many rows it wrote; those that it deleted are none."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in NO_ROW_WRITTEN)


def line(name: str, commit: Commit, seconds: float) -> str:
    """A commit in one line for people. seconds: since the commit before."""
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(commit.outcomes.items()))
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(commit.errors.items()))
    why = f" (failed: {reasons})" if reasons else ""
    return f"{name}: {said}{why} in {seconds:.1f} s ({commit.outcomes.total() / seconds:.0f} images/s)"


def json_line(name: str, commit: Commit, seconds: float, now: datetime | None = None) -> str:
    """A commit as one JSON object: outcomes, rate, lag and the seconds by phase. seconds: since the commit before."""
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
    return to_json(told)


class Bar:
    """A progress bar of images on a terminal, with rate, time left and failures; without `progress` it does nothing.

    folder: for the workers' counts, see `image_count`. steps: the titles of a job's steps, each an equal part of the bar.
    """

    def __init__(self, progress: Progress | None = None, title: str = "", folder: str = "", steps: Sequence[str] = ()) -> None:
        self._progress, self._folder, self._steps = progress, Path(folder), steps
        self._done = self._failed = self._begun = self._images = 0
        self._step, self._since = 0, time.monotonic()
        self._counts: deque[ImageCount] = deque()
        self._lock = threading.Lock()
        total = len(steps) or None
        task = progress.add_task(title, total=total, done="", rate="", failed="") if progress else 0
        self._task = cast("TaskID", task)

    @property
    def shown(self) -> bool:
        """Whether the bar is on a terminal."""
        return self._progress is not None

    def expect(self, images: Callable[[], int | None]) -> None:
        """Sets the total to what `images` returns, called on a thread; until then the bar has no end."""
        if self._progress:
            threading.Thread(target=self._ask, args=(self._progress, images), daemon=True, name="fruitpipe-count").start()

    def step(self, title: str, images: int = 0) -> None:
        """Begins the step with this title; images: how many it has."""
        if self._progress:
            self._step, self._images, self._since = self._steps.index(title), images, time.monotonic()
            self._progress.update(self._task, description=title, completed=self._step, done="", rate="")

    def begin(self, images: int) -> str | None:
        """Begins a chunk; returns the path of its `image_count` file, which moves the bar until `advance` counts the chunk."""
        if not self._progress:
            return None
        count = ImageCount(self._folder / f"{self._begun}", images)
        count.path.touch()
        with self._lock:
            self._counts.append(count)
        self._begun += 1
        if self._begun == 1:
            threading.Thread(target=self._watch, args=(self._progress,), daemon=True, name="fruitpipe-watch").start()
        return str(count.path)

    def advance(self, images: int, failed: int = 0) -> None:
        """Counts images as done, `failed` of them as failed, in place of the oldest chunk that was begun."""
        if self._progress:
            with self._lock:
                if self._counts:
                    self._counts.popleft()
                self._done += images
                self._failed += failed
            self._draw(self._progress)

    def close(self) -> None:
        """Drops the chunks that were begun and never counted, before their files are removed."""
        with self._lock:
            self._counts.clear()

    def follow(self, tracker: StatusTracker) -> None:
        """Moves the bar with the tasks of the running Spark stages, as a share of the step, until it ends."""
        if self._progress:
            threading.Thread(target=self._follow, args=(self._progress, tracker), daemon=True, name="fruitpipe-follow").start()

    def _follow(self, progress: Progress, tracker: StatusTracker) -> None:
        while progress.live.is_started:
            stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
            share = max((stage.numCompletedTasks / stage.numTasks for stage in stages if stage.numTasks), default=0.0)
            if share:
                self._show_share(progress, share)
            time.sleep(FOLLOW_SECONDS)

    def _watch(self, progress: Progress) -> None:
        while progress.live.is_started:
            self._draw(progress)
            time.sleep(FOLLOW_SECONDS)

    def _draw(self, progress: Progress) -> None:
        with self._lock:
            marks = [count.counted() for count in self._counts]
            done, failed = self._done + sum(done for done, _ in marks), self._failed + sum(failed for _, failed in marks)
            task = progress.tasks[0]
            progress.update(self._task, completed=max(done, task.completed))  # a commit is told a moment after its last mark
            rate = f"{task.speed:.0f} images/s" if task.speed else ""
            progress.update(self._task, rate=rate, failed=f"[yellow]{failed} failed[/]" if failed else "")

    def _show_share(self, progress: Progress, share: float) -> None:
        """Moves the bar forward only: a step may have several stages, and each begins at 0."""
        completed = self._step + share
        if self._images and completed > progress.tasks[0].completed:
            done = share * self._images
            rate = f"{done / (time.monotonic() - self._since):.0f} images/s"
            progress.update(self._task, completed=completed, done=f"{done:.0f}/{self._images}", rate=rate)

    def _ask(self, progress: Progress, images: Callable[[], int | None]) -> None:
        progress.update(self._task, total=images())


@contextmanager
def bar(title: str, *, wanted: bool = True, steps: Sequence[str] = ()) -> Iterator[Bar]:
    """Shows a bar while the block runs, where it is `wanted` and stderr is a terminal; else a bar that does nothing."""
    progress = _on_terminal(steps=bool(steps)) if wanted and sys.stderr.isatty() else None
    if not progress:
        yield Bar()
        return
    with TemporaryDirectory(prefix="fruitpipe-") as folder, progress:
        bar = Bar(progress, title, folder, steps)
        try:
            yield bar
        finally:
            bar.close()


def _on_terminal(*, steps: bool) -> Progress | None:
    from fruitpipe.runtime import bar_columns  # rich, which a job without a terminal need not import

    return bar_columns.on_terminal(steps=steps)
