"""What a skip costs: nothing but a line for a newcomer, the run for CI unless it is allowed by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest
def test_that_runs(): pass
def test_with_a_browser(): pytest.skip("needs chromium: bash tests/install.sh")
def test_with_data(): pytest.skip("needs fruits-360: there is none")
"""


def test_a_run_tells_what_was_skipped_and_fails_where_that_is_not_allowed(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_some.py").write_text(TESTS)

    def run(*flags):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, str(tmp_path)]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        said = ended.stdout.splitlines()
        assert "skipped: 1 tests: needs chromium: bash tests/install.sh" in said
        assert "skipped: 1 tests: needs fruits-360: there is none" in said
        return ended.returncode, [line for line in said if line.startswith("error: ")]

    assert run("--allow-skips", "chromium,fruits-360") == (0, [])
    refused = ["error: this may not be skipped here: needs chromium: bash tests/install.sh"]
    assert run("--allow-skips", "fruits-360", "-n", "1") == (1, refused)


class Reporter:
    def __init__(self, *reasons):
        self.stats = {"skipped": [SimpleNamespace(longrepr=("file.py", 1, f"Skipped: {reason}")) for reason in reasons]}


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (None, []),
        ("", ["needs a: do this", "something"]),
        ("a", ["something"]),
        ("b, a", ["something"]),
        ("something", ["needs a: do this", "something"]),  # a skip without a name cannot be allowed
    ],
)
def test_only_a_name_allows_a_skip_and_only_where_somebody_asks(allowed, refused):
    config = SimpleNamespace(getoption=lambda _: allowed)
    assert conftest.not_allowed(Reporter("needs a: do this", "something", "something"), config) == refused
