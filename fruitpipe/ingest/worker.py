"""What each Python worker does with a task's references: looks at them, featurises, and writes its rows into a data file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from fruitpipe.extractor.arrow_schema import OUTCOMES
from fruitpipe.extractor.featurise import Featuriser
from fruitpipe.table.data_files import GROUPS_SCHEMA, Writer


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
