"""How a task is found that each further attempt would fail, too: by what Spark keeps for its own pages."""

from __future__ import annotations

import pytest

from fruitpipe.runtime import first_failure
from fruitpipe.runtime.spark_errors import SPARK_ERRORS

pytestmark = pytest.mark.lane


def test_what_a_failed_task_said_is_found_by_the_tag_of_its_job(spark):
    def fail(number):
        raise ValueError(f"for good: {number}")

    context = spark.sparkContext
    context.addJobTag("failing")
    with pytest.raises(SPARK_ERRORS, match="for good"):
        context.parallelize([7], 1).foreach(fail)
    context.removeJobTag("failing")
    context._jsc.sc().listenerBus().waitUntilEmpty()
    found = list(first_failure._failures(context, "failing"))
    assert found
    assert all("ValueError: for good: 7" in text for text in found)
    assert list(first_failure._failures(context, "another")) == []
