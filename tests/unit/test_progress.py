"""What the stream says of a commit, and the bar."""

import io
import json
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from types import SimpleNamespace

import pytest
from rich.console import Console

from fruitpipe.refit import new_version
from fruitpipe.runtime import bar_columns, image_count, progress
from fruitpipe.runtime.progress import Commit
from fruitpipe.settings import RefitSettings

COMMIT = Commit(
    Counter(featurised=18, failed=2), Counter(truncated=1, empty=1), 3.21987, {"look up": 0.1, "featurise": 1.5, "commit": 0.4}
)


def test_a_commit_is_one_line_with_its_rate_and_its_errors_by_reason():
    said = progress.line("batch 3", COMMIT, 2.0)
    assert said == "batch 3: 2 failed, 18 featurised (failed: 1 empty, 1 truncated) in 2.0 s (10 images/s)"
    assert progress.line("batch 4", Commit(Counter(gone=1)), 0.5) == "batch 4: 1 gone in 0.5 s (2 images/s)"


def test_a_commit_is_one_json_object_with_lag_and_phases():
    line = progress.json_line("batch 3", COMMIT, 2.0, datetime(2026, 11, 5, tzinfo=UTC))
    assert "\n" not in line
    assert json.loads(line) == {
        "event": "commit",
        "at": "2026-11-05T00:00:00.000+00:00",
        "batch": "batch 3",
        "images": 20,
        "outcomes": {"failed": 2, "featurised": 18},
        "errors": {"empty": 1, "truncated": 1},
        "images_per_second": 10.0,
        "lag_seconds": 3.22,
        "seconds": 2.0,
        "seconds_by_phase": {"look up": 0.1, "featurise": 1.5, "commit": 0.4},
    }


def on_terminal(monkeypatch, console):
    """Has stderr be a terminal, which rich knows as this console."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(bar_columns, "Console", lambda **_: console)


def test_the_bar_shows_images_done_rate_time_left_and_errors(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    on_terminal(monkeypatch, console)
    with progress.bar("ingest") as bar:
        bar.expect(lambda: 200)
        bar.advance(50)
        bar.advance(50, failed=3)
    shown = console.file.getvalue()
    for part in ("ingest", "100/200", "images/s", "3 failed", "left"):
        assert part in shown


def test_without_a_terminal_there_is_no_bar_whatever_asks_for_colours(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.bar("ingest") as bar:
        bar.expect(lambda: 2)
        bar.advance(2, failed=1)
        bar.step("check")
    assert not bar.shown
    assert capsys.readouterr().err == ""


def test_on_a_terminal_that_cannot_redraw_a_line_there_is_no_bar(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=False)
    on_terminal(monkeypatch, console)
    with progress.bar("ingest") as bar:
        bar.advance(2)
    assert console.file.getvalue() == ""


def test_the_bar_learns_the_number_of_images_while_the_work_goes_on(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    on_terminal(monkeypatch, console)
    asked = threading.Event()

    def count():
        asked.wait()
        return 7

    with progress.bar("ingest") as bar:
        bar.expect(count)
        bar.advance(3)
        asked.set()
        (counting,) = [thread for thread in threading.enumerate() if thread.name == "fruitpipe-count"] or [
            threading.current_thread()
        ]
        if counting is not threading.current_thread():
            counting.join()
    assert "3/7" in console.file.getvalue()


@pytest.fixture
def console(monkeypatch):
    """A terminal, as far as a bar can tell."""
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    on_terminal(monkeypatch, console)
    return console


def shown_by(console, wanted):
    """Waits until the bar shows it."""
    ends = time.monotonic() + 30
    while wanted not in console.file.getvalue():
        assert time.monotonic() < ends, f"{wanted} is not in {console.file.getvalue()[-500:]}"
        time.sleep(0.01)


def test_the_bar_moves_within_a_chunk_with_the_marks_of_its_workers(console):
    outcomes = [{"outcome": "failed" if number % 10 == 0 else "featurised"} for number in range(90)]
    with progress.bar("ingest") as bar:
        bar.expect(lambda: 200)
        chunk, other = bar.begin(90), bar.begin(110)
        working = image_count.marked(outcomes, chunk)
        assert list(islice(working, 40)) == outcomes[:40]
        shown_by(console, "40/200")
        shown_by(console, "4 failed")
        list(image_count.marked([{"outcome": "touched"}], other))
        list(working)
        shown_by(console, "91/200")
        bar.advance(90, failed=9)
        shown_by(console, "9 failed")
    assert "181/200" not in console.file.getvalue()  # nothing is counted from its marks and once more from its commit


def test_an_image_that_is_looked_at_twice_does_not_move_the_bar_past_its_chunk(console):
    with progress.bar("ingest") as bar:
        bar.expect(lambda: 20)
        chunk = bar.begin(10)
        list(image_count.marked([{"outcome": "featurised"}] * 15, chunk))
        shown_by(console, "10/20")
        bar.advance(10)
    assert "15/20" not in console.file.getvalue()


def test_without_a_bar_no_worker_leaves_a_mark():
    assert not progress.Bar().shown
    assert progress.Bar().begin(10) is None


def test_a_job_of_steps_moves_with_the_tasks_of_its_stages_and_says_no_number_before_there_is_one(console):
    running = SimpleNamespace(numTasks=4, numCompletedTasks=0)
    tracker = SimpleNamespace(getActiveStageIds=lambda: [1], getStageInfo=lambda _: running)
    with progress.bar("refit", steps=("reading", "fitting", "reducing")) as bar:
        bar.follow(tracker)
        bar.step("reading", 2000)
        running.numCompletedTasks = 3
        shown_by(console, "1500/2000")
        assert bar._progress.tasks[0].completed == 0.75
        running.numCompletedTasks = 0
        bar.step("reducing", 2000)
        assert bar._progress.tasks[0].completed == 2
        shown_by(console, "reducing")
    assert "0/2000" not in console.file.getvalue().replace("1500/2000", "")


def test_the_steps_of_a_refit_are_those_that_its_bar_knows(console):
    for step in new_version.STEPS:
        with progress.bar("refit", steps=new_version.steps(RefitSettings(root="file:///r"))) as bar:
            bar.step(step, 7)
        shown_by(console, step)
    assert new_version.steps(RefitSettings(root="file:///r", report=False)) == new_version.STEPS[:-1]


def test_the_rows_of_a_commit_are_those_that_it_wrote():
    written = Counter(featurised=3, failed=2, moved=1, touched=4, stale=5)
    assert Commit(written + Counter(unchanged=7, kept=8, gone=9)).rows == written.total() == 15
