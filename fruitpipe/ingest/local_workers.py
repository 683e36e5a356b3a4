"""Processes of this machine that do what Spark's workers do, without Spark, which takes longer to start than some images take."""

from __future__ import annotations

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fruitpipe.errors import MissingRequirement, PlatformFault
from fruitpipe.extractor.arrow_schema import REFERENCES
from fruitpipe.ingest.worker import Overdue, Worker, WorkerDied
from fruitpipe.runtime import deadline, local_folders
from fruitpipe.runtime.cores import usable_cores
from fruitpipe.runtime.served_process import NotStarted, ProcessEnded, ServedProcess
from fruitpipe.table.data_files import Group

if TYPE_CHECKING:
    import pyarrow as pa

    from fruitpipe.extractor.inference import ModelFile

IMAGES_A_PROCESS = 16  # at least: a process takes as long to start as some small pictures, or a few large ones


@dataclass(frozen=True)
class Here:
    """The model in a process that has it, where Spark has a broadcast variable."""

    value: ModelFile


class There:
    """Stands for the model while a worker is on its way to a process, which has it."""

    @property
    def value(self) -> ModelFile:
        """Of no use here."""
        raise AttributeError("the model is in the process that does the task")


@dataclass(frozen=True)
class Task:
    """What a process does. It is sent once, with the model. folder: where its deadline says which image was in hand."""

    model: Here
    folder: str

    def __call__(self, asked: tuple[Worker, pa.Table]) -> list[Group]:
        """The outcomes of a part of a chunk."""
        worker, references = asked
        os.environ[deadline.FOLDER] = self.folder
        worker = replace(worker, featuriser=replace(worker.featuriser, model=self.model))
        return [Group(**row) for batch in worker(references.to_batches()) for row in batch.to_pylist()]


class LocalWorkers:
    """A process a core, each started when there is work for it; `close` ends them."""

    are_here = True

    def __init__(self, model: ModelFile, cores: int | None = None) -> None:
        self.cores = cores = cores or usable_cores()
        # Names of images are in it; after a kill the next start removes it.
        self._folder = local_folders.own() / local_folders.WORKERS
        self._folder.mkdir(exist_ok=True)
        task = Task(Here(model), str(self._folder))
        self._processes = [ServedProcess(task) for _ in range(cores)]
        self._busy, self._is_closed = threading.Lock(), False

    def load(self, worker: Worker) -> None:
        """Starts the first process, which does a task without images; the others start with a chunk that is worth them.

        The first chunk raises what fails, and reports it.
        """
        with self._busy, suppress(Exception):
            if self._is_closed:
                return
            self._processes[0].start()  # before pyarrow imports pandas here, as it does for its first table of Python's values
            self._processes[0]((worker, REFERENCES.empty_table()))

    def run(self, worker: Worker, references: pa.Table) -> list[Group]:
        """Runs a part on each process. Raises WorkerDied, Overdue, and what the worker raises.

        The worker's featuriser has There for its model.
        """
        parts = divided(references, self.cores)
        with self._busy, ThreadPoolExecutor(len(parts), "fruitpipe-local") as threads:
            asked = [threads.submit(process, (worker, part)) for process, part in zip(self._processes, parts, strict=False)]
            wait(asked)
            try:
                return [group for answer in asked for group in answer.result()]
            except NotStarted as error:
                raise PlatformFault(
                    f"a worker's process does not start ({error}); free memory or mend its Python, and start again"
                ) from error
            except ModuleNotFoundError as error:
                raise MissingRequirement(f"the workers' Python has no module {error.name}; make its environment anew") from error
            except OSError as error:
                raise PlatformFault(f"a worker's process failed ({error}); make room on the disk, and start again") from error
            except (ProcessEnded, MemoryError) as error:
                path = self._overdue()
                raise (WorkerDied() if path is None else Overdue(path)) from error

    def close(self) -> None:
        """Ends the processes, whatever they do."""
        self._is_closed = True
        for process in self._processes:
            process.kill()
        with self._busy:  # one may be starting
            for process in self._processes:
                process.close()

    def _overdue(self) -> str | None:
        """The image at which a deadline ended a process; what it said is removed, as the next may have the same number."""
        found = None
        for file in self._folder.iterdir():
            found = deadline.overdue(file.read_text(errors="replace")) or found
            file.unlink()
        return found


def divided(references: pa.Table, cores: int) -> list[pa.Table]:
    """Even parts, as many as there are cores at most, and each worth a process."""
    parts = max(1, min(cores, len(references) // IMAGES_A_PROCESS))
    size = math.ceil(len(references) / parts)
    return [references.slice(first, size) for first in range(0, len(references), size)]
