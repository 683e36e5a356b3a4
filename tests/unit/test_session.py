"""Spark's errors in words for the person who can fix them."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError

from fruitpipe.errors import Damaged
from fruitpipe.runtime import session

SAID = """An error occurred while calling o519.collectToPython.
: org.apache.spark.SparkException: [{sign}] Encountered error while reading file file:/a root/features/part-1.zstd.parquet. {more}
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.fileNotExistError(QueryExecutionErrors.scala:831)"""


@pytest.mark.parametrize("sign", ["FAILED_READ_FILE.FILE_NOT_EXIST", "FAILED_READ_FILE.NO_HINT"])
def test_a_file_that_spark_cannot_read_is_named_in_a_line(sign):
    with (
        pytest.raises(Damaged, match=r"^file:/a root/features/part-1\.zstd\.parquet: cannot be read; fruitpipe doctor"),
        session.explained(),
    ):
        raise Py4JError(SAID.format(sign=sign, more="File does not exist."))
