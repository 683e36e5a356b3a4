"""How the images that take their worker down, or too long, are found among thousands; the workers are a list here."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from fruitpipe import objects
from fruitpipe.extractor import arrow_schema
from fruitpipe.extractor.featurise import Featuriser
from fruitpipe.ingest import spark_workers
from fruitpipe.ingest.bisection import Bisection
from fruitpipe.ingest.worker import Overdue, WorkerDied


@dataclass(frozen=True)
class Worker:
    """Says which images failed, and why, in place of files of rows."""

    featuriser = Featuriser(None, "fingerprint", 1000)

    @property
    def writer(self):
        return self

    def write(self, outcomes):
        return list(zip(outcomes["path"].to_pylist(), outcomes["error"].to_pylist(), strict=True))


@dataclass(frozen=True)
class OnList(Bisection):
    """A Spark job is a list of images; `deadly` ones raise what a job with them raises. runs: the images of each job."""

    deadly: dict[str, type[Exception]] = field(default_factory=dict)
    runs: list[list[str]] = field(default_factory=list)

    def _run(self, references):
        paths = references["path"].to_pylist()
        self.runs.append(paths)
        for path in paths:
            if kind := self.deadly.get(path):
                raise kind(path) if kind is Overdue else kind
        return [(path, None) for path in paths]


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(objects, "look", lambda *_, **__: objects.Gone())

    def found(images, deadly):
        """The outcomes by image, and the images of each job."""
        search = OnList(None, Worker(), lambda: False, deadly)
        references = pa.Table.from_pylist([{"path": path} for path in images], arrow_schema.REFERENCES)
        outcomes = list(search(references))
        assert sorted(path for path, _ in outcomes) == sorted(images)
        return dict(outcomes), search.runs

    return found


IMAGES = [f"s3://b/{number:04}.jpg" for number in range(6000)]
SLOW = dict.fromkeys(IMAGES[::300], Overdue)


def test_slow_images_among_thousands_do_not_have_all_the_others_run_again_and_again(found):
    outcomes, runs = found(IMAGES, SLOW)
    assert [path for path in IMAGES if outcomes[path]] == list(SLOW)
    assert {outcomes[path] for path in SLOW} == {"too-slow"}
    assert sum(map(len, runs)) < 6 * len(IMAGES)  # by 20 jobs of all that are left it is 20 times
    assert len(runs) < 4 * len(SLOW)


@pytest.mark.parametrize("images", [IMAGES[:1], IMAGES[:2], IMAGES[:7]])
def test_where_every_image_is_slow_or_deadly_each_is_found(found, images):
    for kind, reason in ((Overdue, "too-slow"), (WorkerDied, "crashes-decoder")):
        assert found(images, dict.fromkeys(images, kind))[0] == dict.fromkeys(images, reason)


def test_slow_and_deadly_images_are_told_apart_in_one_chunk(found):
    deadly = {IMAGES[3]: Overdue, IMAGES[50]: WorkerDied, IMAGES[51]: Overdue}
    outcomes, _ = found(IMAGES[:100], deadly)
    assert {path: error for path, error in outcomes.items() if error} == {
        IMAGES[3]: "too-slow",
        IMAGES[50]: "crashes-decoder",
        IMAGES[51]: "too-slow",
    }


LOST = "Task 1 in stage 7.0 failed 4 times, most recent failure: Lost task 1.3 in stage 7.0 (h executor 4): ExecutorLostFailure"
BY_A_TASK = f"{LOST} (executor 4 exited caused by one of the running tasks) Reason: "
UNRELATED = f"{LOST} (executor 4 exited unrelated to the running tasks) Reason: "
BAD_NODE = f"{BY_A_TASK}Container from a bad node: container_1_2_01_3 on host: h. Exit status: "


@pytest.mark.parametrize(
    ("said", "a_worker_gave_up"),
    [
        (
            f"{BY_A_TASK}Container killed by YARN for exceeding physical memory limits. 4.6 GB of 4.5 GB physical memory used.",
            True,
        ),
        (f"{BY_A_TASK}Container killed by YARN for exceeding virtual memory limits. 9 GB of 8 GB virtual memory used.", True),
        (f"{BAD_NODE}137. Diagnostics: [x]\nKilled", True),
        (f"{BAD_NODE}143. Diagnostics: [x].", True),
        (f"{BY_A_TASK}Command exited with code 137", True),
        (f"{BY_A_TASK}Remote RPC client disassociated. Likely due to containers exceeding thresholds, or network issues.", True),
        (f"{BAD_NODE}1. Diagnostics: [x].", False),
        (f"{BY_A_TASK}Command exited with code 1370", False),
        (f"{BY_A_TASK}Executor heartbeat timed out after 138057 ms", False),
        (
            f"{UNRELATED}Container marked as failed: c on host: h. Exit status: -100. Diagnostics: released on a *lost* node.",
            False,
        ),
    ],
)
def test_a_container_that_is_killed_for_its_memory_counts_as_a_worker_that_died(said, a_worker_gave_up):
    assert bool(spark_workers.WORKER_GAVE_UP.search(f"Job aborted due to stage failure: {said}")) is a_worker_gave_up
