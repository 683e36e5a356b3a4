"""Processes of this machine in place of Spark's workers."""

import threading
from contextlib import closing

import pytest

from fruitpipe.errors import WrongModel
from fruitpipe.extractor.featurise import Featuriser
from fruitpipe.extractor.inference import ModelFile, fingerprint
from fruitpipe.ingest.chunks import reference_table
from fruitpipe.ingest.local_workers import LocalWorkers, There
from fruitpipe.ingest.worker import Worker
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.settings import default_model
from fruitpipe.table.data_files import Writer
from tests.pictures import jpeg, put


@pytest.fixture(scope="module")
def model():
    return ModelFile.load(default_model())


@pytest.fixture
def worker(model, tmp_path):
    (tmp_path / "features").mkdir()
    return Worker(Featuriser(There(), fingerprint(model), 10**6), Writer(f"file://{tmp_path}/features", to_merge=False))


@pytest.fixture
def references(worker, tmp_path):
    return reference_table([ImageEvent("created", put(tmp_path / "images" / "1.jpg", jpeg()))], {}, worker.featuriser)


def test_a_process_that_was_loaded_ahead_does_the_chunk(model, worker, references):
    with closing(LocalWorkers(model, cores=2)) as workers:
        workers.load(worker)
        loaded = [process.pid for process in workers._processes]
        (group,) = workers.run(worker, references)
        assert [process.pid for process in workers._processes] == loaded
    assert loaded[0]
    assert loaded[1] is None
    assert (group.outcome, group.images) == ("featurised", 1)


def test_what_keeps_a_process_from_loading_is_raised_by_the_first_chunk(model, worker, references):
    other = Worker(Featuriser(There(), "another", 10**6), worker.writer)
    with closing(LocalWorkers(model, cores=1)) as workers:
        workers.load(other)
        with pytest.raises(WrongModel, match="the fingerprint"):
            workers.run(other, references)


def test_a_process_that_is_being_loaded_ends_with_the_others(model, worker):
    workers = LocalWorkers(model, cores=1)
    loading = threading.Thread(target=workers.load, args=(worker,))
    loading.start()
    workers.close()
    loading.join()
    assert workers._processes[0].pid is None
