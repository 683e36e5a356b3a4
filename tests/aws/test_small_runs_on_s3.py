"""A run for few new images without Spark, in a bucket: what it writes, and answers that are lost on the way."""

import numpy as np
import pytest

from fruitpipe import objects
from fruitpipe.jobs.ingest import ingest
from fruitpipe.objects import s3_connection
from fruitpipe.runtime import session
from fruitpipe.settings import IngestSettings
from fruitpipe.table.snapshot import Snapshot
from tests.oracle import vector_of
from tests.pictures import jpeg
from tests.s3_proxy import Proxy, started

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"


@pytest.fixture
def proxy(s3, monkeypatch):
    """The way to S3 of this process and of its workers leads through a proxy.

    It is a thread of this process, so a read that stopped all other threads would wait for ever.
    """
    with started(Proxy(s3.endpoint)) as proxy:
        for name, value in (s3.environment | {"AWS_ENDPOINT_URL_S3": proxy.endpoint}).items():
            monkeypatch.setenv(name, value)
        s3_connection.connection.cache_clear()
        yield proxy
    s3_connection.connection.cache_clear()


@pytest.fixture
def place(s3):
    return f"s3://{s3.bucket()}"


@pytest.fixture
def taken_in(place, proxy, monkeypatch):  # noqa: ARG001
    """Uploads pictures and runs to the end without Spark; returns the table's rows by the image's name."""
    monkeypatch.setattr(session, "open", lambda *_: pytest.fail("Spark was started"))

    def taken_in(first, count):
        for seed in range(first, first + count):
            objects.write(f"{place}/images/Kiwi/{seed:04}.jpg", jpeg(seed))
        ingest(IngestSettings(images=f"{place}/images", root=f"{place}/root", once=True, images_without_spark=5000))
        return {objects.name(row["path"]): row for row in Snapshot(f"{place}/root").query("SELECT * FROM features")}

    return taken_in


def test_all_that_such_a_run_writes_names_the_key(proxy, taken_in, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", KEY)
    unnamed = []

    def note(method, headers):
        if method == "PUT" and headers.get("x-amz-server-side-encryption-aws-kms-key-id") != KEY:
            unnamed.append(headers)

    proxy.demands = note
    assert len(taken_in(0, 3)) == 3
    assert len(taken_in(3, 1)) == 4
    assert unnamed == []
    written = [request.path for request in proxy.requests if request.kind == "PUT"]
    assert any(path.endswith("/_delta_log/00000000000000000002.json") for path in written)
    assert any(path.endswith(".parquet") for path in written)


def test_answers_that_are_lost_cost_no_row_and_give_none_twice(proxy, taken_in):
    proxy.faults, proxy.fail_share = ("lost-answer",), 0.15
    for first in range(0, 8, 4):
        rows = taken_in(first, 4)
        assert sorted(rows) == [f"{number:04}.jpg" for number in range(first + 4)]
    assert proxy.failed()["lost-answer"] > 2
    np.testing.assert_array_equal(np.float32(rows["0007.jpg"]["features"]), vector_of(jpeg(7)))


def test_a_commit_of_which_no_answer_comes_is_found_in_the_log(proxy, taken_in, monkeypatch):
    taken_in(0, 2)
    admit, entry = proxy.admit, "/_delta_log/00000000000000000002.json"
    monkeypatch.setattr(
        proxy,
        "admit",
        lambda method, path: admit(method, path) or ("lost-answer" if (method, path[-37:]) == ("PUT", entry) else None),
    )
    assert len(taken_in(2, 1)) == 3
    assert len(taken_in(3, 1)) == 4


def test_an_entry_of_the_log_that_comes_first_is_not_overwritten(place, proxy, taken_in, monkeypatch):
    """The entry is on its way when another's is there: S3 refuses it by its condition."""
    taken_in(0, 2)
    admit, entry = proxy.admit, f"{place}/root/features/_delta_log/{2:020}.json"
    theirs = b'{"commitInfo": {"operation": "VACUUM START"}}\n'
    others = iter([theirs])

    def after_another(method, path):
        if method == "PUT" and entry.endswith(path):
            for other in others:
                objects.write(entry, other)
        return admit(method, path)

    monkeypatch.setattr(proxy, "admit", after_another)
    assert len(taken_in(2, 1)) == 3
    assert objects.read(entry) == theirs
    assert Snapshot(f"{place}/root").version == 3
    assert next(others, None) is None
