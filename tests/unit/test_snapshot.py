"""The table as deltalake reads it, where reading does not go well."""

from datetime import UTC, datetime

import pytest

from fruitpipe import snapshot, tables
from fruitpipe.errors import NotFound, PlatformFault
from fruitpipe.snapshot import Snapshot


@pytest.fixture
def root(tmp_path):
    tables._make(f"file://{tmp_path}/root", datetime.now(UTC))
    return f"file://{tmp_path}/root"


@pytest.fixture
def breaking(monkeypatch):
    """Has so many readings of the log break off."""
    whole = snapshot.DeltaTable

    def breaking(times):
        left = iter([OSError("connection reset")] * times)

        def table(*given, **named):
            if error := next(left, None):
                raise error
            return whole(*given, **named)

        monkeypatch.setattr(snapshot, "DeltaTable", table)

    return breaking


def test_a_log_whose_reading_breaks_off_is_read_again(root, breaking):
    breaking(snapshot.ATTEMPTS - 1)
    assert Snapshot(root).query("SELECT path FROM features") == []


def test_a_log_that_cannot_be_read_is_a_fault_of_the_platform(root, breaking):
    breaking(snapshot.ATTEMPTS)
    with pytest.raises(PlatformFault, match=r"features: cannot be read \(connection reset\); try again"):
        Snapshot(root)


def test_where_there_is_no_table_that_is_said_at_once(tmp_path):
    with pytest.raises(NotFound, match="there are no features yet"):
        Snapshot(f"file://{tmp_path}/nothing")
