"""One writer a root, on S3: a lease by conditional write, renewed, and lost when it is not."""

import time

import pytest

from fruitpipe import objects
from fruitpipe.errors import Conflict, LeaseLost, OtherWriter, PlatformFault
from fruitpipe.objects import s3 as s3_objects
from fruitpipe.root import lease
from tests.s3_proxy import Proxy, started


@pytest.fixture
def root(s3, monkeypatch):
    s3_objects._connection.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    yield f"s3://{s3.bucket()}/root"
    s3_objects._connection.cache_clear()


def test_a_second_writer_is_told_who_holds_the_root_and_since_when(root):
    with lease.held(root) as held:
        held.check()
        with pytest.raises(OtherWriter, match=r"process \d+ since 20\d\d-"), lease.held(root):
            pass


def test_a_lease_is_free_again_after_its_block(root):
    for _ in range(2):
        with lease.held(root) as held:
            held.check()


def test_a_holder_that_died_frees_the_root_when_its_lease_ends(root, eventually):
    dead = lease._S3Lease(root, 3.0)
    dead._done.set()  # it renews no more, and releases nothing

    def taken():
        try:
            with lease.held(root):
                return True
        except OtherWriter:
            return False

    assert not taken()
    assert eventually(taken)


def test_a_renewed_lease_outlives_its_first_length(root, eventually):
    with lease.held(root, lease_seconds=8.0) as held:
        ends = time.monotonic() + 10
        eventually(lambda: held.check() or time.monotonic() > ends)


def test_a_holder_whose_lease_was_taken_over_may_no_longer_write(root, eventually):
    def lost(held):
        try:
            held.check()
        except LeaseLost:
            return True
        return False

    with lease.held(root, lease_seconds=8.0) as held:
        objects.write(f"{root}/writer.json", b'{"holder": "somebody else"}')
        assert eventually(lambda: lost(held))


@pytest.fixture
def through(s3, root, monkeypatch):  # noqa: ARG001 - after it has set the environment
    """The way to the server leads through a proxy."""
    with started(Proxy(s3.endpoint, faults=("lost-answer",))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        s3_objects._connection.cache_clear()
        yield proxy


def test_a_lease_whose_answer_was_lost_is_held_all_the_same(root, through, monkeypatch):
    fates = iter([None, "lost-answer"])  # the look is answered, the write is not, and is repeated
    monkeypatch.setattr(through._chance, "random", lambda: 0.0 if next(fates, None) else 1.0)
    through.fail_share = 0.5
    with lease.held(root) as held:
        held.check()
    assert through.counts(within="writer.json")["PUT"] == 3
    assert through.failed() == {"lost-answer": 1}


def test_a_renewal_after_one_whose_answer_was_lost_for_good_is_no_lost_lease(root, monkeypatch):
    held = lease._S3Lease(root, 60.0)
    earlier, written = held._etag, objects.write

    def unanswered(*arguments, **condition):
        written(*arguments, **condition)
        raise PlatformFault("S3 could not be reached")

    with monkeypatch.context() as patch:
        patch.setattr(objects, "write", unanswered)
        with pytest.raises(PlatformFault):
            held._write(60.0, if_etag=earlier)
    held._write(60.0, if_etag=earlier)
    held.check()
    held.release()


def test_of_two_that_find_no_lease_one_gets_it(root):
    objects.write(f"{root}/x", b"1", if_absent=True)
    with pytest.raises(Conflict):
        objects.write(f"{root}/x", b"2", if_absent=True)
