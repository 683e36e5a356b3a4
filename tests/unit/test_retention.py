"""How long the table remembers, in its properties."""

from __future__ import annotations

import pytest

from fruitpipe.table import retention
from fruitpipe.table.retention import LOG, REMOVED_FILES


@pytest.mark.parametrize(
    ("configuration", "hours", "lacking"),
    [
        ({}, 1, {LOG: "interval 7 days"}),  # Delta itself keeps removed files for a week
        ({}, 168, {LOG: "interval 7 days"}),
        ({}, 169, {LOG: "interval 8 days", REMOVED_FILES: "interval 8 days"}),
        ({LOG: "interval 7 days"}, 168, {}),
        ({LOG: "interval 7 days"}, 720, {LOG: "interval 30 days", REMOVED_FILES: "interval 30 days"}),
        ({LOG: "interval 30 days", REMOVED_FILES: "interval 720 hours"}, 720, {}),
        ({LOG: "interval 30 days", REMOVED_FILES: "interval 30 days"}, 168, {}),  # never shorter
        ({LOG: "interval 5 weeks", REMOVED_FILES: "interval 1 week"}, 720, {REMOVED_FILES: "interval 30 days"}),
        ({LOG: "interval 99999 minutes", REMOVED_FILES: "CALENDAR 1"}, 720, {}),  # somebody chose it
    ],
)
def test_a_table_is_given_what_it_lacks_to_remember_for_so_long(configuration, hours, lacking):
    assert retention.lacking(configuration, hours) == lacking


@pytest.mark.parametrize(
    ("interval", "hours"), [("interval 2 days", 48), ("INTERVAL 1 week ", 168), ("36 hours", 36), ("interval 2 months", None)]
)
def test_an_interval_is_read_as_delta_writes_it(interval, hours):
    assert retention.in_hours(interval) == hours
