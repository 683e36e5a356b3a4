"""Adds up what the commits of a run did, and tells of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from fruitpipe.outcome import Outcome
from fruitpipe.output import say
from fruitpipe.runtime import lineage, progress


@dataclass
class Tally:
    """Tells of each commit in a line, or a JSON object, on the bar, and to `heard`.

    outcomes: of all images so far. commits: that changed the table.
    """

    bar: progress.Bar = field(default_factory=progress.Bar)
    heard: Callable[[progress.Commit], None] = lambda _: None
    in_json: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    commits: int = 0

    def add(self, what: str, commit: progress.Commit, since: float, counts: Counter[str]) -> float:
        """Adds the commit to the totals and to the batch's counts, and tells of it; returns the time now.

        what: the batch, for people. since: when the commit before was told of.
        """
        self.outcomes += commit.outcomes
        counts.update(commit.outcomes)
        counts[lineage.ROWS] += commit.rows
        self.commits += bool(set(commit.outcomes) - {Outcome.UNCHANGED, Outcome.KEPT})
        now = time.monotonic()
        self.bar.advance(commit.outcomes.total(), commit.outcomes[Outcome.FAILED])
        self.heard(commit)
        said = progress.json_line if self.in_json else progress.line
        say(said(what, commit, now - since))
        return now


def summary(outcomes: Counter[str]) -> str:
    """The outcomes of a run in one line."""
    said = f"{outcomes[Outcome.FEATURISED]} images featurised, {outcomes[Outcome.FAILED]} failed"
    others = (Outcome.MOVED, Outcome.UNCHANGED, Outcome.TOUCHED, Outcome.KEPT, Outcome.STALE, Outcome.GONE)
    seen = [f"{outcomes[outcome]} {outcome}" for outcome in others if outcomes[outcome]]
    return ", ".join([said, *seen])
