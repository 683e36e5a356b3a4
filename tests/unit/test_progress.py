"""What the stream says of a commit, and the bar."""

import io
import json
import threading
from collections import Counter
from datetime import UTC, datetime

from rich.console import Console

from fruitpipe import progress
from fruitpipe.progress import Commit

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


def test_the_bar_shows_images_done_rate_time_left_and_errors(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with progress.bar("ingest") as bar:
        bar.step("ingest", 200)
        bar.advance(50)
        bar.advance(50, failed=3)
    shown = console.file.getvalue()
    for part in ("ingest", "100/200", "images/s", "3 failed", "left"):
        assert part in shown


def test_without_a_terminal_there_is_no_bar(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=False)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    with progress.bar("ingest") as bar:
        bar.expect(lambda: 2)
        bar.advance(2, failed=1)
        bar.step("check")
    assert console.file.getvalue() == ""


def test_the_bar_learns_the_number_of_images_while_the_work_goes_on(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
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
