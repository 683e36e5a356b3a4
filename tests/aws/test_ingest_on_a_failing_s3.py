"""The stream on an S3 server that fails: a few images of what the soak does with two thousand."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, Conflict
from fruitpipe.objects import s3_connection
from fruitpipe.table import first_commit
from tests import oracle
from tests.pictures import jpeg
from tests.rows import empty_table
from tests.s3_proxy import Proxy, started
from tests.soak.s3_faults import REFUSED, soak

IMAGES = 40


@pytest.fixture
def proxy(s3, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with started(Proxy(s3.endpoint)) as proxy:
        yield proxy
    s3_connection.connection.cache_clear()


@pytest.fixture
def through(proxy, monkeypatch):
    """The way to S3 of the test's own process leads through the proxy, too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    s3_connection.connection.cache_clear()
    return proxy


def rows(root):
    """The table as its log has it; a session with S3A's jars would be one more."""
    live, log = {}, sorted(stat.path for stat in objects.list_all(f"{root}/features/_delta_log") if stat.path.endswith(".json"))
    for path in log:
        for action in map(json.loads, objects.read(path).splitlines()):
            if "add" in action:
                live[action["add"]["path"]] = True
            if "remove" in action:
                live.pop(action["remove"]["path"])
    files = [pq.read_table(io.BytesIO(objects.read(f"{root}/features/{name}")), columns=list(oracle.COLUMNS)) for name in live]
    return oracle.rows_of(pa.concat_tables(files))


def test_a_table_whose_first_answer_was_lost_is_made_all_the_same_and_anothers_is_left(s3, through, monkeypatch):
    root, fates = f"s3://{s3.bucket()}/root", iter(["lost-answer"])
    monkeypatch.setattr(through._chance, "random", lambda: 0.0 if next(fates, None) else 1.0)
    through.faults, through.fail_share = ("lost-answer",), 0.5
    empty_table(root)
    assert through.failed() == {"lost-answer": 1}
    made = objects.read(f"{root}/features/{first_commit.COMMIT}")
    with pytest.raises(Conflict, match="written by somebody else first"):
        empty_table(root)
    assert made == objects.read(f"{root}/features/{first_commit.COMMIT}")


@pytest.mark.soak
def test_all_rows_are_right_where_one_request_in_twenty_fails(s3, proxy):
    s3_connection.connection.cache_clear()
    proxy.fail_share, proxy.seed = 0.05, 1
    first, _, last = soak(s3, IMAGES, proxy, rows)
    assert first == f"ingest: {IMAGES - len(REFUSED)} images featurised, {len(REFUSED) + 2} failed"
    assert last == f"ingest: {len(REFUSED)} images featurised, 0 failed"
    assert proxy.failed().total() > 0


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidRequest"])
def test_an_object_that_the_store_will_not_give_is_unreadable_and_says_why(s3, through, code):
    bucket = s3.bucket()
    s3.s3.put_object(Bucket=bucket, Key="x.jpg", Body=jpeg(0))
    requests = {"AccessDenied": 1, "InvalidRequest": 2}[code]  # boto3 asks again where it is not plain what the answer means
    through.refusals["x.jpg"] = iter([(403, code)] * requests)
    before = through.counts("x.jpg")["GET"]
    assert objects.look(f"s3://{bucket}/x.jpg") == objects.Unreadable(f"{code}: as the test has it")
    assert through.counts("x.jpg")["GET"] - before == requests
    assert objects.look(f"s3://{bucket}/x.jpg").body == jpeg(0)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("InvalidObjectState", "archived"), ("KMS.DisabledException", "no-key"), ("KMS.KMSInvalidStateException", "no-key")],
)
def test_an_object_that_is_in_an_archive_or_whose_key_is_gone_is_so_by_itself_and_tells_its_etag(s3, through, code, reason):
    bucket = s3.bucket()
    etag = s3.s3.put_object(Bucket=bucket, Key="x.jpg", Body=jpeg(0))["ETag"].strip('"')
    through.refusals["x.jpg"] = iter([(403, code)] * 2)
    look = objects.look(f"s3://{bucket}/x.jpg")
    assert (look.reason, look.message) == (reason, f"{code}: as the test has it")
    assert (look.stat.etag, look.stat.length) == (etag, len(jpeg(0)))
    through.refusals["x.jpg"] = iter([(403, code)] * 3)
    assert objects.look(f"s3://{bucket}/x.jpg").stat is None


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId"])
def test_credentials_that_end_are_nobodys_image(s3, through, code):
    through.refusals["x.jpg"] = iter([(400 if code == "ExpiredToken" else 403, code)] * 2)
    with pytest.raises(AccessDenied, match=rf"not valid \({code}\); renew them"):
        objects.look(f"s3://{s3.bucket()}/x.jpg")


@pytest.mark.parametrize("fault", ["slow-down", "reset", "lost-answer", "broken-body"])
def test_a_look_outlives_three_failures_of_any_kind(s3, through, monkeypatch, fault):
    bucket = s3.bucket()
    s3.s3.put_object(Bucket=bucket, Key="x.jpg", Body=jpeg(0))
    failures = iter([0.0] * 3)
    monkeypatch.setattr(through._chance, "random", lambda: next(failures, 1.0))
    through.fail_share, through.faults = 0.5, (fault,)
    assert objects.look(f"s3://{bucket}/x.jpg").body == jpeg(0)
    assert through.failed() == {fault: 3}
