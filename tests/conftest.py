"""What is true of all tests: those that start Spark are told apart, as they are run on each lane."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
OF_SPARK = ("spark", "readme")  # folders whose jobs start Spark, in this process or in others
FIXTURES = {"spark", "session"}


def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in OF_SPARK or FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.spark)
