"""What each worker does with a task's references: looks at them, featurises, and writes its rows into a data file.

Workers are Python processes: Spark's (`spark_workers`), or some of this machine without Spark (`local_workers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.extractor.featurise import Featuriser
from fruitpipe.table.data_files import GROUPS_SCHEMA, Group, Writer


@dataclass(frozen=True)
class Worker:
    """Goes to the workers. It holds a task's rows, some 1,000, until they are written: 5 MB, and as much again as Parquet."""

    featuriser: Featuriser
    writer: Writer

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Record batches with the schema REFERENCES → one with the fields of Group."""
        outcomes = pa.Table.from_batches(list(self.featuriser(batches)), OUTCOMES)
        yield from pa.Table.from_pylist([group._asdict() for group in self.writer.write(outcomes)], GROUPS_SCHEMA).to_batches()

    def load(self, _: Iterable[int]) -> None:
        """Loads the model and the modules that a task will need."""
        self.featuriser.load()


class WorkerDied(Exception):
    """A worker died, and it is not known which image it was at."""


class Overdue(Exception):
    """The worker's deadline ended it at the image `path`."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Workers(Protocol):
    """The processes that do a worker's tasks. cores: how many at the same time. are_here: whether on this machine."""

    @property
    def cores(self) -> int: ...

    @property
    def are_here(self) -> bool: ...

    def load(self, worker: Worker) -> None:
        """Has each load what it needs, so that the first task need not wait for it. What fails then, fails again with a task."""

    def run(self, worker: Worker, references: pa.Table) -> list[Group]:
        """The outcomes of `references` (schema REFERENCES), their rows written into files. Raises WorkerDied, Overdue."""
