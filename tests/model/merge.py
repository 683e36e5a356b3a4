"""What a MERGE makes of the model's rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from fruitpipe.outcome import Outcome
from fruitpipe.table.columns import COLUMNS
from tests.model.rows import Row


class Merge:
    """A MERGE of outcomes; `feed` takes what the change feed tells of it."""

    def __init__(self, outcomes: list[Row], spans: Collection[tuple[datetime, datetime]]) -> None:
        self._by_path, self._spans = {row["path"]: row for row in outcomes}, spans
        assert len(self._by_path) == len(outcomes), "two outcomes of one image, which Delta refuses"
        self._matched: set[str] = set()
        self.feed: list[Row] = []

    def matches(self, row: Row) -> bool:
        near = not self._spans or any(first <= row["ingested_at"] <= last for first, last in self._spans)
        return near and row["path"] in self._by_path

    def apply(self, rows: list[Row]) -> Iterator[Row]:
        for row in rows:
            if not self.matches(row):
                yield row
                continue
            source = self._by_path[row["path"]]
            self._matched.add(row["path"])
            if source["outcome"] == Outcome.GONE:
                self.feed.append(row | {"_change_type": "delete"})
                continue
            if source["outcome"] == Outcome.STALE:
                after = row | {"error_message": f"{source['error']}: {source['error_message']}"}
            else:
                taken = ("modification_time", "length", "etag") if source["outcome"] == Outcome.TOUCHED else COLUMNS
                after = row | {name: source[name] for name in taken}
            self.feed += [row | {"_change_type": "update_preimage"}, after | {"_change_type": "update_postimage"}]
            yield after

    def inserted(self) -> list[Row]:
        no_rows = (Outcome.GONE, Outcome.TOUCHED, Outcome.STALE)
        new = [row for path, row in self._by_path.items() if path not in self._matched and row["outcome"] not in no_rows]
        rows = [{name: row[name] for name in COLUMNS} for row in new]
        self.feed += [row | {"_change_type": "insert"} for row in rows]
        return rows
