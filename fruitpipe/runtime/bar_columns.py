"""What the progress bar shows, and where, as rich draws it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Task


class ImagesColumn(MofNCompleteColumn):
    """``12/80`` images; in a job with steps those of the step, and empty as long as nothing is known."""

    def __init__(self, *, steps: bool) -> None:
        super().__init__()
        self._steps = steps

    def render(self, task: Task) -> Text:
        """Renders the column for rich."""
        if self._steps:
            return Text(task.fields["done"], "progress.download")
        return super().render(task) if task.completed or task.total else Text()


class LeftColumn(TimeRemainingColumn):
    """``0:00:12 left``, once it can be estimated; in a job with steps, from the images of the step."""

    def __init__(self, *, steps: bool) -> None:
        super().__init__()
        self._steps = steps

    def render(self, task: Task) -> Text:
        """Renders the column for rich."""
        told = task.fields["done"] if self._steps else task.time_remaining is not None
        return super().render(task).append(" left", "default") if told else Text()


def on_terminal(*, steps: bool) -> Progress | None:
    """The bar on stderr; None where that is no terminal for rich. steps: whether it is of a job with steps."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        ImagesColumn(steps=steps),
        TextColumn("{task.fields[rate]}"),
    )
    times = (TextColumn("{task.fields[failed]}"), TimeElapsedColumn(), LeftColumn(steps=steps))
    return Progress(*columns, *times, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
