"""A few rounds of the soak test of publication; `make soak` runs fifty."""

from __future__ import annotations

import pytest

from fruitpipe.jobs.refit import refit
from fruitpipe.settings import RefitSettings
from tests.soak.refit_kills import STEPS, appender, soak

ROUNDS = 3


@pytest.mark.soak
@pytest.mark.usefixtures("spark")
def test_a_refit_that_is_killed_is_never_noticed_by_a_reader(tmp_path, monkeypatch):
    steps = {step: STEPS[step] for step in ("data written", "model facts", "pointer")}
    monkeypatch.setattr("tests.soak.refit_kills.STEPS", steps)
    root = tmp_path / "root"
    assert soak(root, ROUNDS, 1, lambda **how: refit(RefitSettings(**how)), appender(root)) == ROUNDS
