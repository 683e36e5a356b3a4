"""The stream's commits by Spark and Delta, which can do all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fruitpipe.outcome import Outcome
from fruitpipe.table import commits

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.table.fence import Fence


@dataclass(frozen=True)
class SparkCommits:
    """Commits to one root's table, each the next of this process by `fence`."""

    spark: SparkSession
    root: str
    fence: Fence

    def add(self, files: Collection[str], counts: Mapping[str, int]) -> None:
        """Adds new rows by their files."""
        commits.add(self.spark, self.root, files, self.fence, counts)

    def merge(self, uris: Sequence[str], ingested: Collection[datetime], counts: Mapping[str, int]) -> None:
        """Merges outcomes; what has moved takes the features of its former row."""
        outcomes = commits.outcomes(self.spark, uris)
        if counts.get(Outcome.MOVED):
            outcomes = commits.with_features_of_moved(self.spark, self.root, outcomes, ingested)
        with commits.fenced(self.spark, self.fence):
            commits.merge(self.spark, self.root, outcomes, ingested, counts)

    def remove(self, paths: Sequence[str]) -> None:
        """Deletes rows."""
        commits.remove(self.spark, self.root, paths, self.fence)

    def remove_others(self, kept: Mapping[str, datetime]) -> None:
        """Deletes rows but those of the times told."""
        commits.remove_others(self.spark, self.root, kept, self.fence)
