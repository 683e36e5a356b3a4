"""The model's table as deltalake shows one: what stands in for its DeltaTable and its QueryBuilder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import Schema

from fruitpipe import objects
from fruitpipe.table.columns import PROPERTIES
from tests.model.rows import ROWS

if TYPE_CHECKING:
    from tests.model.table import Table


@dataclass
class Opened:
    """The part of deltalake's DeltaTable that `snapshot` and `file_commits` need."""

    table: Table
    at: int

    def version(self) -> int:
        return self.at

    def transaction_version(self, _application: str) -> int:
        return self.table.versions[self.at].number

    def schema(self) -> Any:
        return Schema.from_arrow(ROWS)

    def metadata(self) -> Any:
        class Metadata:
            partition_columns: tuple[str, ...] = ()
            configuration = PROPERTIES

        return Metadata

    def protocol(self) -> Any:
        class Protocol:
            reader_features = writer_features = None

        return Protocol

    def create_write_transaction(self, actions: Any, _mode: str, _schema: Any, *, commit_properties: Any, **_: Any) -> None:
        numbers = [transaction.version for transaction in commit_properties.app_transactions]
        self.table.commit(self.at, actions, *numbers or [0])

    def create_checkpoint(self) -> None:
        self.table.checkpoint(self.at)

    def get_add_actions(self) -> pa.Table:
        there = [
            {"path": name, "size_bytes": len(objects.read(f"{self.table.folder}/{name}")), "num_records": len(rows)}
            for name, rows in self.table.versions[self.at].files.items()
        ]
        return pa.table({name: [one[name] for one in there] for name in ("path", "size_bytes", "num_records")})


class Queries:
    """What stands in for deltalake's QueryBuilder."""

    def register(self, _name: str, opened: Opened) -> Queries:
        self._opened = opened
        return self

    def execute(self, sql: str) -> Iterator[pa.RecordBatch]:
        return self._opened.table.query(self._opened.at, sql)
