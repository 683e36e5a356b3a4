"""How a query of the stream ends: each way out of the table in fruitpipe/ingest/query.py, without Spark."""

from __future__ import annotations

import os
import signal
from collections import Counter
from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import StreamingQueryException

from fruitpipe.errors import LeaseLost, PlatformFault
from fruitpipe.ingest import query
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.ingest.query import End
from fruitpipe.root import manifests
from fruitpipe.runtime.progress import Commit
from fruitpipe.settings import IngestSettings

LINES = [(manifests.to_line(manifests.ImageEvent("created", f"file:///images/Kiwi/{number}.jpg")),) for number in range(2)]


class Query:
    """A query whose batch runs when `run_batch` is called, and that fails with the text of what the batch raised."""

    def __init__(self, batches, *, failure="", has_ended=False):
        self.batches, self.failure, self.has_ended, self.was_stopped, self.lastProgress = batches, failure, has_ended, False, None

    def awaitTermination(self, _seconds):  # noqa: N802 - Spark's name
        if self.failure:
            raise StreamingQueryException(f"[STREAM_FAILED] {self.failure}")
        return self.has_ended

    def run_batch(self):
        try:
            self.batches(SimpleNamespace(collect=lambda: LINES), 0)
        except BaseException as error:  # noqa: BLE001 - as py4j hands it to Spark
            self.failure = f"Traceback (most recent call last):\n{type(error).__module__}.{type(error).__qualname__}: {error}"
        else:
            self.lastProgress = {"batchId": 0}

    def stop(self):
        self.was_stopped = True


@pytest.fixture
def batches(tmp_path):
    eraser = SimpleNamespace(admit=lambda named: named, is_due=lambda: False)
    settings = IngestSettings(images=str(tmp_path / "images"), root=str(tmp_path / "root"), source="events")
    return Batches(settings, one_by_one, eraser)


def one_by_one(named, stopping):
    """Commits image after image until the query is to end."""
    for _ in named:
        if stopping():
            return
        yield Commit(Counter(featurised=1))


def between(step=lambda _: None, finish=lambda _: None):
    return SimpleNamespace(step=step, finish=finish)


def ask_to_stop(*_):
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_query_that_has_caught_up_does_what_is_left(batches):
    done = []
    assert query.run(Query(batches, has_ended=True), batches, between(finish=lambda _: done.append("left"))) is End.CAUGHT_UP
    assert done == ["left"]


def test_a_query_that_is_asked_to_stop_commits_the_batch_in_progress(batches):
    running = Query(batches)

    def step(_):
        running.run_batch()
        ask_to_stop()

    assert query.run(running, batches, between(step)) is End.STOPPED
    assert (running.was_stopped, batches.tally.outcomes["featurised"]) == (True, 2)


def test_a_stop_may_come_while_what_is_left_is_done(batches):
    assert query.run(Query(batches, has_ended=True), batches, between(finish=ask_to_stop)) is End.STOPPED


def test_a_query_pauses_for_an_erasure_and_another_takes_batches_again(batches):
    batches.eraser.is_due = lambda: True
    assert query.run(Query(batches), batches, between()) is End.PAUSED
    batches.eraser.is_due = lambda: False
    batches.begin_query()
    following = Query(batches)
    following.run_batch()
    assert (following.failure, batches.tally.outcomes["featurised"]) == ("", 2)


@pytest.mark.parametrize("committed", [0, 1])
def test_a_batch_that_is_refused_or_cut_short_is_no_failure(batches, committed):
    """Spark has begun it when the query is to end: nothing of it is done, or what was begun."""
    running = Query(batches)

    def upsert(named, stopping):
        yield Commit(Counter(featurised=1))
        batches.state.end()
        yield from one_by_one(named[1:], stopping)

    def step(_):
        ask_to_stop()
        if committed:
            batches.upsert = upsert
        else:
            batches.state.end()
        running.run_batch()

    assert query.run(running, batches, between(step)) is End.STOPPED
    assert "Stopping" in running.failure
    assert batches.tally.outcomes["featurised"] == committed


@pytest.mark.parametrize("is_asked_to_stop", [False, True])
def test_a_failure_of_spark_whose_text_holds_stopping_is_a_failure(batches, is_asked_to_stop):
    running = Query(batches)

    def step(_):
        if is_asked_to_stop:
            ask_to_stop()
        running.failure = "cannot write file:///data/Stopping/root/checkpoints/ingest/offsets/7"

    batches._latest_id = 0  # a batch whose end in the checkpoint is waited for
    with pytest.raises(StreamingQueryException, match="data/Stopping"):
        query.run(running, batches, between(step))


@pytest.mark.parametrize("is_asked_to_stop", [False, True])
def test_what_a_batch_raised_is_raised_and_not_what_spark_says_of_it(batches, is_asked_to_stop):
    running = Query(batches)

    def upsert(*_):
        if is_asked_to_stop:
            ask_to_stop()
        raise LeaseLost("the lease was lost; Stopping")

    batches.upsert = upsert
    with pytest.raises(LeaseLost):
        query.run(running, batches, between(lambda _: running.run_batch()))


@pytest.mark.parametrize("failure", [PlatformFault("the prefix cannot be listed"), Py4JError("a compaction failed")])
def test_what_goes_on_beside_the_batches_ends_the_query_with_its_failure(batches, failure):
    def step(_):
        raise failure

    running = Query(batches)
    with pytest.raises(type(failure)):
        query.run(running, batches, between(step))
    assert (running.was_stopped, batches.state.is_running) == (True, False)
