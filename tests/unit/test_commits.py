"""Where a merge looks for rows."""

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from fruitpipe.table import commits

NOON = datetime(2026, 3, 1, 12, 0, 0, 0, UTC)


@pytest.mark.parametrize("seed", range(20))
def test_a_merge_looks_into_few_spans_that_leave_out_no_row(seed):
    chance = random.Random(seed)
    times = [NOON + timedelta(seconds=chance.choice([1, 100, 10_000]) * chance.random()) for _ in range(chance.randrange(1, 30))]
    spans = commits.spans(times)
    assert len(spans) <= commits.SPANS
    assert all(any(first <= time <= last for first, last in spans) for time in times)
    assert all(last < first for (_, last), (first, _) in itertools.pairwise(spans))


def test_a_merge_leaves_out_the_longest_times_between():
    at = [NOON + timedelta(hours=hour) for hour in (0, 1, 5, 9, 10, 14)]
    assert commits.spans(at) == [(at[0], at[1]), (at[2], at[2]), (at[3], at[4]), (at[5], at[5])]
    assert commits.spans([NOON + timedelta(seconds=second) for second in (0, 50, 100)]) == [(NOON, NOON + timedelta(seconds=100))]
