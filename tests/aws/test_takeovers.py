"""A few rounds of the harness in which processes take one root from each other."""

from __future__ import annotations

import pytest

from tests.aws.conftest import versitygw
from tests.soak import takeovers


@pytest.mark.soak
@pytest.mark.skipif(not versitygw(), reason="needs versitygw: the emulator's S3 is slower than the lease is long")
def test_a_root_that_changes_hands_has_no_two_holders_no_row_twice_and_every_commit(s3, monkeypatch):
    for name, value in s3.environment.items():  # and back, as the harness sets it for good
        monkeypatch.setenv(name, value)
    with takeovers.contest(s3, seconds=1.0, seed=1) as found:
        for _ in range(4):
            found.takeover()
    assert found.stopped + found.killed == 4
    assert len(found.holds) > 4
