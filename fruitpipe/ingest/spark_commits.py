"""The stream's commits where there is Spark, which can do all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from fruitpipe.outcome import Outcome
from fruitpipe.table import commits, file_commits
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.table.fence import Fence


@dataclass(frozen=True)
class SparkCommits:
    """Commits to one root's table, each the next of this process by `fence`."""

    spark: SparkSession
    root: str
    fence: Fence

    @cached_property
    def takes_files(self) -> bool:
        """Whether deltalake can write the table; somebody may have given it features that Delta alone knows."""
        return file_commits.can_commit(Snapshot(self.root))

    def add(self, files: Collection[str], counts: Mapping[str, int]) -> None:
        """Adds new rows by their files."""
        file_commits.add(self.root, files, self.fence, counts)

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
