"""What is true of all tests: those that start Spark are told apart, as they are run on each lane, and skips have names.

A skip's reason is ``needs NAME: what to do``. CI allows some by name (`--allow-skips`) and fails with any other.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

# The linear algebra of several processes on two cores: with a thread a core in each, they wait for each other, ten times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

TESTS = Path(__file__).parent
# Sessions that suit tests. As users have them they are in the wheel's commands, in the deployed stack's jobs and in `make demo`.
os.environ.setdefault("SPARK_CONF_DIR", str(TESTS / "quick"))
# Runs that would do without Spark do so where a test says it, and else with the session that is there.
os.environ.setdefault("FRUITPIPE_IMAGES_WITHOUT_SPARK", "0")
OF_SPARK = ("spark", "readme")  # folders whose jobs start Spark, in this process or in others
FIXTURES = {"spark", "session", "commands"}


@pytest.fixture(scope="session")
def browser():
    """The machine's Chromium, for tests that `needs_chromium`."""
    from playwright.sync_api import sync_playwright

    from tests.browsers import CHROMIUM

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in OF_SPARK or FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.spark)


def pytest_addoption(parser):
    parser.addoption(
        "--allow-skips", metavar="NAMES", help="fail where a test is skipped for anything but these, with commas between them"
    )


def pytest_terminal_summary(terminalreporter, config):
    for reason, count in skipped(terminalreporter).items():
        terminalreporter.write_line(f"skipped: {count} tests: {reason}")
    for reason in not_allowed(terminalreporter, config):
        terminalreporter.write_line(f"error: this may not be skipped here: {reason}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and session.exitstatus == pytest.ExitCode.OK and not_allowed(reporter, session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def skipped(reporter):
    """How many tests, by reason."""
    return Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", ()))


def not_allowed(reporter, config):
    """The reasons that do not count here; none where nobody asked."""
    if (names := config.getoption("--allow-skips")) is None:
        return []
    allowed = {name.strip() for name in names.split(",")}
    named = {reason: re.match(r"needs ([\w-]+): ", reason) for reason in skipped(reporter)}
    return [reason for reason, name in named.items() if not (name and name[1] in allowed)]
