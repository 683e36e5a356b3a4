"""What obstore fetches is what boto3 alone would have found, for any key, object and bucket."""

import gzip

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, NotFound, PlatformFault
from fruitpipe.objects import reader, s3_connection, s3_look
from tests.s3_proxy import Proxy, started

KEYS = [
    "a.jpg",
    "in/Äpfel & Birnen/ä ö+ü.jpg",
    "in/100%.jpg",
    "in/a%20b%2Fc.jpg",
    "in/q?x=1&y=2#z.jpg",
    "in/[a]{b}*~^`'\"<>|;:@=,$!().jpg",
    "in/back\\slash.jpg",
    "in/日本/🍎.jpg",
    "in/...jpg",
    "in/ .jpg",
]
TOLD = {"HTTPHeaders": {"x-amz-bucket-region": "eu-central-1"}}
NOWHERE = "http://127.0.0.1:9"
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def own(s3):
    """A bucket of the server's, and the way there of this process."""
    with s3.here():
        yield s3.bucket()


@pytest.fixture
def versioned(versioned_s3):
    with versioned_s3.here():
        yield versioned_s3.bucket(keeps_versions=True)


def fetched(bucket, key, etag=None, max_bytes=None):
    return s3_look._quick(bucket).get(key, etag, max_bytes)


def by_boto3(bucket, key, etag=None, max_bytes=None):
    return s3_look._look_once(f"s3://{bucket}/{key}", etag, max_bytes)


@pytest.mark.parametrize("key", KEYS)
def test_an_object_is_found_under_any_key_as_boto3_finds_it(s3, own, key):
    s3.s3.put_object(Bucket=own, Key=key, Body=key.encode())
    found = fetched(own, key)
    assert found == by_boto3(own, key)
    assert found.body == key.encode()


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES.filter(lambda name: name not in (".", "..")))
def test_no_key_is_taken_for_another(s3, own, name):
    s3.s3.put_object(Bucket=own, Key=f"any/{name}", Body=name.encode())
    assert fetched(own, f"any/{name}") == by_boto3(own, f"any/{name}")


def test_a_key_with_a_control_character_is_found_all_the_same(s3, own):
    s3.s3.put_object(Bucket=own, Key="in/a\tb.jpg", Body=b"1")
    assert objects.look(f"s3://{own}/in/a\tb.jpg").body == b"1"


@pytest.mark.parametrize(
    ("key", "taken_for"),
    [("/a.jpg", "a.jpg"), ("a//b.jpg", "a/b.jpg"), ("a/./b.jpg", "a/b.jpg"), ("a/../b.jpg", "b.jpg"), ("c/", "c")],
)
def test_a_key_that_is_no_path_is_left_to_boto3(s3, own, key, taken_for):
    s3.s3.put_object(Bucket=own, Key=taken_for, Body=b"another")
    assert fetched(own, key) is None
    assert not s3_look._quick(own).answers(key)


def test_what_is_gone_is_told_and_a_bucket_that_is_not_there_is_left_to_boto3(own):
    assert fetched(own, "not-there.jpg") == objects.Gone() == by_boto3(own, "not-there.jpg")
    assert fetched("no-such-bucket", "a.jpg") is None
    with pytest.raises(NotFound, match="there is no bucket no-such-bucket"):
        objects.look("s3://no-such-bucket/a.jpg")


def test_an_object_that_has_the_known_etag_is_unchanged_and_another_is_read(s3, own):
    s3.s3.put_object(Bucket=own, Key="known.jpg", Body=b"1")
    etag = objects.look(f"s3://{own}/known.jpg").stat.etag
    assert fetched(own, "known.jpg", f'"{etag}"') == objects.Unchanged() == by_boto3(own, "known.jpg", etag)
    s3.s3.put_object(Bucket=own, Key="known.jpg", Body=b"2")
    assert fetched(own, "known.jpg", f'"{etag}"').body == b"2"


def test_an_object_that_is_too_large_is_told_and_one_of_just_the_size_is_read(s3, own):
    s3.s3.put_object(Bucket=own, Key="large.jpg", Body=b"x" * 1000)
    assert fetched(own, "large.jpg", None, 999) == by_boto3(own, "large.jpg", None, 999)
    assert fetched(own, "large.jpg", None, 1000).body == b"x" * 1000
    assert isinstance(fetched(own, "large.jpg", None, 0), objects.TooLarge)


def test_an_empty_object_and_a_compressed_one_are_read_as_they_are_kept(s3, own):
    s3.s3.put_object(Bucket=own, Key="empty.jpg", Body=b"")
    s3.s3.put_object(Bucket=own, Key="packed.jpg", Body=gzip.compress(b"x" * 100), ContentEncoding="gzip")
    assert fetched(own, "empty.jpg").body == b""
    assert fetched(own, "packed.jpg") == by_boto3(own, "packed.jpg")


def test_in_a_versioned_bucket_the_etag_holds_the_version(versioned_s3, versioned):
    for body in (b"1", b"2"):
        versioned_s3.s3.put_object(Bucket=versioned, Key="a.jpg", Body=body)
    found = fetched(versioned, "a.jpg")
    assert found == by_boto3(versioned, "a.jpg")
    assert "@" in found.stat.etag
    assert isinstance(objects.look(f"s3://{versioned}/a.jpg", found.stat.etag), objects.Unchanged)


def test_a_look_costs_one_request(s3, own, monkeypatch):
    s3.s3.put_object(Bucket=own, Key="one.jpg", Body=b"1")
    with started(Proxy(s3.endpoint)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        s3_connection.connection.cache_clear()
        etag = objects.look(f"s3://{own}/one.jpg").stat.etag
        objects.look(f"s3://{own}/one.jpg", etag)
        objects.look(f"s3://{own}/one.jpg", max_bytes=0)
        objects.look(f"s3://{own}/none.jpg")
        assert proxy.counts() == {"GET": 4}
    s3_connection.connection.cache_clear()


def test_what_the_environment_says_for_others_does_not_lead_to_another_bucket(s3, own, monkeypatch):
    other = s3.bucket()
    s3.s3.put_object(Bucket=own, Key=f"{other}/a.jpg", Body=b"right")
    s3.s3.put_object(Bucket=other, Key="a.jpg", Body=b"wrong")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    s3_look._made_quick.cache_clear()
    assert fetched(own, f"{other}/a.jpg").body == b"right"
    s3_look._made_quick.cache_clear()


def test_the_endpoint_is_boto3s_whatever_the_environment_says(s3, own, monkeypatch):
    """Which boto3 may have been told to ignore; and what another server does not have would be taken for gone."""
    s3.s3.put_object(Bucket=own, Key="a.jpg", Body=b"1")
    endpoint = reader.Endpoint(s3.endpoint, "eu-west-1", boto3.Session().get_credentials().get_frozen_credentials)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    assert reader.Bucket(own, lambda: endpoint).get("a.jpg", None, None).body == b"1"


@pytest.fixture
def nowhere(own, monkeypatch):
    """The bucket at an endpoint where nobody answers, which `objects.look` asks before boto3."""
    endpoint = reader.Endpoint(NOWHERE, "eu-west-1", boto3.Session().get_credentials().get_frozen_credentials)
    nowhere = reader.Bucket(own, lambda: endpoint)
    monkeypatch.setattr(s3_look, "_quick", lambda _: nowhere)
    return nowhere


def test_an_endpoint_where_nobody_answers_is_left_for_some_minutes_and_then_tried_again(s3, own, nowhere, monkeypatch):
    s3.s3.put_object(Bucket=own, Key="a.jpg", Body=b"1")
    monkeypatch.setattr(reader, "SILENT_SECONDS", 0)
    for _ in range(reader.FAILURES):
        assert nowhere.answers("a.jpg")
        assert objects.look(f"s3://{own}/a.jpg").body == b"1"
    assert not nowhere.answers("a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(reader, "OPEN_SECONDS", 0)
        nowhere.failed()
    assert nowhere.answers("a.jpg"), "the minutes are over"
    nowhere.failed()
    assert not nowhere.answers("a.jpg"), "one more failure is enough"


def test_requests_that_fail_together_soon_after_an_answer_do_not_keep_others_from_being_asked(s3, own, nowhere):
    s3.s3.put_object(Bucket=own, Key="a.jpg", Body=b"1")
    for _ in range(2 * reader.FAILURES):
        objects.look(f"s3://{own}/a.jpg")
    assert nowhere.answers("a.jpg")


@pytest.fixture
def at_aws(monkeypatch):
    """A client of AWS's own S3, of the region that is asked for, and what it will be answered."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    def connected(region):
        session = boto3.Session("id", "secret", region_name=region)
        connection = s3_connection.Connection(session, session.client("s3"))
        return connection, Stubber(connection.client)

    return connected


@pytest.mark.parametrize("asked", [None, "eu-central-1", "us-east-1"])
def test_a_bucket_of_aws_is_asked_in_its_own_region_whatever_region_is_set(at_aws, asked):
    connection, answers = at_aws(asked)
    with answers:
        answers.add_response("head_bucket", {"ResponseMetadata": TOLD})
        answers.add_client_error("head_bucket", "403", http_status_code=403, response_meta=TOLD)
        for bucket in ("fruits", "fruits", "refused"):  # the second time it is known
            assert s3_connection.endpoint_of(connection, bucket) == ("https://s3.eu-central-1.amazonaws.com", "eu-central-1")
        answers.assert_no_pending_responses()


def test_a_region_that_is_not_told_is_asked_for_again_after_a_pause(at_aws):
    connection, answers = at_aws("eu-central-1")
    with answers:
        answers.add_client_error("head_bucket", "SlowDown", http_status_code=503)
        answers.add_response("head_bucket", {"ResponseMetadata": TOLD})
        fruits = s3_look._made_quick(connection, "fruits")
        assert [fruits._connected() for _ in range(2)] == [None, None]
        assert not fruits.answers("a.jpg")
        fruits._open_until = 0
        assert fruits._connected() is not None
        answers.assert_no_pending_responses()


def test_credentials_that_are_wanting_are_told_in_a_line(own, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3_connection.connection.cache_clear()
    with pytest.raises(AccessDenied, match="no AWS credentials were found"):
        objects.look(f"s3://{own}/a.jpg")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    s3_connection.connection.cache_clear()
    with pytest.raises(PlatformFault, match=r"profile \(nobody\) could not be found"):
        objects.look(f"s3://{own}/a.jpg")
    s3_connection.connection.cache_clear()
