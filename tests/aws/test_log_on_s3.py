"""The table's log in S3: it begins anew only where its checkpoint was written."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from fruitpipe import objects
from fruitpipe.objects import s3_connection
from tests.rows import empty_table, put_rows
from tests.s3_proxy import Proxy, started

CUTS = """
import sys
from fruitpipe.errors import FruitpipeError
from fruitpipe.runtime import session
from fruitpipe.table import upkeep
spark = session.open("cut", sys.argv[1])
for _ in sys.stdin:
    try:
        print("removed", upkeep.cut_log(spark, sys.argv[1], "test"), flush=True)
    except FruitpipeError as error:
        print(error, flush=True)
spark.stop()
"""


@pytest.fixture
def proxy(s3, monkeypatch):
    """Between the server and both processes."""
    with started(Proxy(s3.endpoint)) as proxy:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        s3_connection.connection.cache_clear()
        yield proxy
    s3_connection.connection.cache_clear()


@pytest.mark.soak
@pytest.mark.spark
def test_a_checkpoint_that_s3_refuses_leaves_the_log_whole_and_one_that_it_takes_stands_for_it(s3, proxy):
    root = f"s3://{s3.bucket()}/root"
    empty_table(root)
    for version in (1, 2):
        stat = objects.Stat(f"s3://b/{version}.jpg", "etag", 5, datetime.now(UTC))
        put_rows(root, [stat], version)
    log = f"{root}/features/_delta_log"
    before = {stat.path for stat in objects.list_all(log)}
    command = [sys.executable, "-c", CUTS, root]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ, text=True, bufsize=1, **pipes) as session:  # whose session knows S3
        proxy.shut = ".checkpoint.parquet"
        assert "nothing of the log was removed. " in asked(session)
        assert before <= {stat.path for stat in objects.list_all(log)}
        proxy.shut = None
        assert asked(session).startswith("removed ")
        assert not before & {stat.path for stat in objects.list_all(log)}
        session.stdin.close()


def asked(session):
    """The answer to one more cut."""
    session.stdin.write("cut\n")
    return next(line for line in session.stdout if "removed" in line)
