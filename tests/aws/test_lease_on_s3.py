"""One writer a root, on S3: a lease by conditional write, renewed, and lost when it is not."""

import os
import re
import time
from datetime import datetime, timedelta

import pytest

from fruitpipe import objects
from fruitpipe.errors import Conflict, LeaseLost, OtherWriter, PlatformFault
from fruitpipe.objects import s3_connection
from fruitpipe.root import lease, s3_lease, writer_record
from tests.s3_proxy import Proxy, started


@pytest.fixture(autouse=True)
def _own_connection():
    s3_connection.connection.cache_clear()
    yield
    s3_connection.connection.cache_clear()


def pointed(server, monkeypatch):
    """A new bucket on a server that this process's environment names from here on."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server.bucket()


@pytest.fixture
def root(s3, monkeypatch):
    return f"s3://{pointed(s3, monkeypatch)}/root"


def test_a_second_writer_is_told_who_holds_the_root_and_since_when(root):
    with lease.held(root, lease_seconds=2.0) as held:
        held.check()
        with pytest.raises(OtherWriter, match=r"process \d+ since 20\d\d-"), lease.held(root):
            pass


def test_a_lease_is_free_again_after_its_block(root):
    for _ in range(2):
        with lease.held(root) as held:
            held.check()


class Clock:
    """Seconds that pass when a test says so, or with each question."""

    def __init__(self, step=0.0):
        self.now, self.step = 1000.0, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def dead(root, eventually):
    """A holder of ten seconds that renews no more, and gives nothing back."""
    held = s3_lease.S3Lease(root, 10.0)
    held._done.set()
    eventually(lambda: not held._thread.is_alive())
    return held


@pytest.fixture
def slept(monkeypatch):
    """What is slept in place of time that passes."""
    seconds = []
    monkeypatch.setattr(s3_lease.time, "sleep", seconds.append)
    return seconds


@pytest.mark.usefixtures("dead")
def test_a_dead_holders_root_is_taken_when_its_record_was_the_same_for_a_whole_lease(root, slept, capsys):
    clock = Clock(step=1.0)
    began = clock.now
    with lease.held(root, clock=clock) as held:
        held.check()
        assert 10.0 < clock.now - began < 15.0
    assert all(0 < pause < 10.0 / 12 for pause in slept)
    said = rf"{root} is held by .*, process {os.getpid()} since 20.*; it is taken over in 11 s, unless that one lives\n"
    assert re.fullmatch(said, capsys.readouterr().out)


@pytest.mark.parametrize("hours", [-24, 24])
def test_what_time_a_dead_holder_or_its_successor_has_decides_nothing(root, slept, monkeypatch, hours):
    class Elsewhen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=hours)

    with monkeypatch.context() as patch:
        patch.setattr(writer_record, "datetime", Elsewhen)
        held = s3_lease.S3Lease(root, 10.0)
        held._done.set()
        held._thread.join()
    with lease.held(root, clock=Clock(step=1.0)):
        assert len(slept) >= 10


def test_a_living_holder_is_noticed_by_its_renewal_whatever_time_it_has(root, dead, monkeypatch):
    def renewed(_seconds):
        dead._write(dead._etag)

    monkeypatch.setattr(s3_lease.time, "sleep", renewed)
    with (
        pytest.raises(OtherWriter, match=r"process \d+ since 20\d\d-.*; stop that stream first"),
        lease.held(root, clock=Clock()),
    ):
        pass


def test_a_root_that_is_given_back_while_one_waits_for_it_is_taken_at_once(root, dead, monkeypatch):
    monkeypatch.setattr(s3_lease.time, "sleep", lambda _: dead._write(dead._etag, released=True))
    with lease.held(root, clock=Clock()) as held:
        held.check()


def test_of_two_that_wait_for_a_dead_holders_root_one_gets_it(root, dead, monkeypatch):
    first = []

    def overtaken(_seconds):
        clock.now += 20.0
        monkeypatch.setattr(s3_lease.S3Lease, "_outwaited", lambda _, seen: seen)
        first.append(s3_lease.S3Lease(root, 10.0))

    clock = Clock()
    monkeypatch.setattr(s3_lease.time, "sleep", overtaken)
    with pytest.raises(OtherWriter, match="is being written by"), lease.held(root, clock=clock):
        pass
    first[0].check()
    first[0].release()
    with pytest.raises(Conflict):
        dead._write(dead._etag)


def test_a_machine_that_slept_longer_than_the_lease_may_no_longer_write(root):
    clock = Clock()
    held = s3_lease.S3Lease(root, 60.0, clock)
    held.check()
    clock.now += 54.0
    held.check()
    clock.now += 2.0  # less is left than a commit may take
    with pytest.raises(LeaseLost, match="lost or not renewed"):
        held.check()
    held.release()


def test_the_clock_goes_on_while_the_machine_sleeps():
    assert s3_lease.clock() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5.0)


def test_a_holder_is_told_with_the_time_until_another_may_take_the_root(root, dead):
    name, since, left = lease.holder(root)
    assert (name, since) == (dead._me.holder, dead._me.since)
    assert 5.0 < left < 11.0
    dead._write(dead._etag, released=True)
    assert lease.holder(root) is None


def test_the_versions_of_the_record_that_were_replaced_are_removed(versioned_s3, monkeypatch):
    bucket = pointed(versioned_s3, monkeypatch)
    versioned_s3.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    held = s3_lease.S3Lease(f"s3://{bucket}/root", 60.0)
    for _ in range(3):
        held._write(held._etag)
    held.release()
    page = versioned_s3.s3.list_object_versions(Bucket=bucket)
    assert [found["IsLatest"] for found in page["Versions"]] == [True]
    assert "DeleteMarkers" not in page


def test_a_renewed_lease_outlives_its_first_length(root, eventually):
    with lease.held(root, lease_seconds=5.0) as held:
        ends = time.monotonic() + 6.5
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
        s3_connection.connection.cache_clear()
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
    held = s3_lease.S3Lease(root, 60.0)
    earlier, written = held._etag, objects.write

    def unanswered(*arguments, **condition):
        written(*arguments, **condition)
        raise PlatformFault("S3 could not be reached")

    with monkeypatch.context() as patch:
        patch.setattr(objects, "write", unanswered)
        with pytest.raises(PlatformFault):
            held._write(earlier)
    held._write(earlier)
    held.check()
    held.release()


def test_of_two_that_find_no_lease_one_gets_it(root):
    objects.write(f"{root}/x", b"1", if_absent=True)
    with pytest.raises(Conflict):
        objects.write(f"{root}/x", b"2", if_absent=True)
