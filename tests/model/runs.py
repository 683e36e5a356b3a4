"""Histories that are run: random ones, and one that is told step by step."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


@contextlib.contextmanager
def told(machine: type[Any]) -> Iterator[Any]:
    """A history to be told step by step. One that breaks off leaves no stand-in to the tests that follow."""
    history = machine()
    try:
        yield history
    finally:
        history.close()


def run(
    machine: type[RuleBasedStateMachine], histories: int, steps: int, seed: int | None, *, shrink: bool = False
) -> Counter[str]:
    """Runs so many histories and counts what happened in them. The same ones for the same seed; None: always the same."""
    phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])]
    settings = hypothesis.settings(
        max_examples=histories, stateful_step_count=steps, deadline=None, database=None, phases=phases,
        derandomize=seed is None, suppress_health_check=list(hypothesis.HealthCheck), print_blob=True,
    )  # fmt: skip
    counting = type("Counting", (machine,), {"counts": Counter()})
    if seed is not None:
        counting = hypothesis.seed(seed)(counting)
    run_state_machine_as_test(counting, settings=settings)
    return counting.counts
