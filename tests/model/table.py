"""The features table in memory: rows in Parquet files of the store, a log of JSON beside them, and SQL by DuckDB.

It commits as Delta does: a version is one object that must not be there yet, a merge rewrites the files that it touches, an
append or a merge that another's rows came before is refused, and files stay until a vacuum removes them.
"""

from __future__ import annotations

import functools
import io
import json
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction
from pyspark.errors import PySparkException

from fruitpipe import objects
from fruitpipe.errors import DuplicateRows, LeaseLost, NotEnoughRows, NotFound
from fruitpipe.outcome import Outcome
from fruitpipe.refit import fitted_rows
from fruitpipe.refit.changes import Pinned
from fruitpipe.table import commits, delta, lookup, upkeep
from fruitpipe.table.columns import COLUMNS
from fruitpipe.table.fence import APPLICATION
from fruitpipe.table.vector_files import File
from tests.model.merge import Merge
from tests.model.opened import Opened
from tests.model.rows import CHANGED, ROWS, Row

# DataFusion's words in the product's SQL → DuckDB's. Its `sha256` gives text, the other's bytes.
IN_DUCKDB = {"sha256(": "digest(", "column1": "col0", "last_value(": "last("}


@functools.cache
def _connected() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET threads = 1; SET TimeZone = 'UTC'; CREATE MACRO digest(x) AS unhex(sha256(x))")
    return connection


@dataclass(frozen=True)
class Version:
    """The table at one version. files: the rows of each data file. number: the writer's last. changes: the feed's files."""

    files: Mapping[str, list[Row]] = field(default_factory=dict)
    number: int = 0
    changes: Sequence[tuple[str, str]] = ()

    def rows(self) -> list[Row]:
        """All rows."""
        return [row for rows in self.files.values() for row in rows]


class Table:
    """suspended: called between what a commit builds on and the commit. clock: what time a vacuum takes it to be."""

    def __init__(self, root: str) -> None:
        self.root, self.folder, self.id = root, delta.folder(root), str(uuid.uuid4())
        self.versions: list[Version] = []
        self.removed_at: dict[str, datetime] = {}
        self.suspended: Callable[[], None] = lambda: None
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._arrow: tuple[int, pa.Table] = (-1, ROWS.empty_table())

    @property
    def now(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    # What stands in for deltalake's DeltaTable and QueryBuilder.

    def open(self, _uri: str, version: int | None, storage_options: Any) -> Opened:  # noqa: ARG002 - deltalake's own
        """Raises TableNotFoundError."""
        if not self.versions:
            raise TableNotFoundError
        return Opened(self, len(self.versions) - 1 if version is None else version)

    def query(self, version: int, sql: str) -> Iterator[pa.RecordBatch]:
        """The rows that a SELECT of the product gives."""
        if self._arrow[0] != version:
            self._arrow = version, pa.Table.from_pylist(self.versions[version].rows(), ROWS)
        for theirs, ours in IN_DUCKDB.items():
            sql = sql.replace(theirs, ours)
        cursor = _connected().cursor()
        cursor.register("features", self._arrow[1])
        return iter(cursor.sql(sql).to_arrow_reader(100_000))

    def commit(self, base: int, actions: Sequence[AddAction | RemoveAction], number: int) -> None:
        """What names data files, as deltalake commits it. Raises CommitFailedError where the next version is there."""
        added = [vars(action) for action in actions if isinstance(action, AddAction)]
        gone = [action.path for action in actions if isinstance(action, RemoveAction)]
        rows, before = {one["path"]: self._read(one["path"]) for one in added}, self.now
        self.suspended()
        if len(self.versions) - 1 > base:
            raise CommitFailedError("the table is newer")
        left = {name: held for name, held in before.files.items() if name not in gone}
        lines = [{"add": one} for one in added] + [{"remove": {"path": name}} for name in gone]
        version = Version(left | rows, number or before.number, [("insert", name) for name in rows])
        self._commit(lines + [_txn(number)] * bool(number), version, gone)

    def checkpoint(self, version: int) -> None:
        body, files = io.BytesIO(), self.versions[version].files
        whole = [{"protocol": {"v": 1}}, {"metaData": {"id": self.id}}, *({"add": self._add(name)} for name in files)]
        add = pa.struct([("path", pa.string()), ("stats", pa.string())])
        of = pa.struct([("id", pa.string())])
        schema = pa.schema([("add", add), ("metaData", of), ("protocol", pa.struct([("v", pa.int32())]))])  # type: ignore[arg-type]
        pq.write_table(pa.Table.from_pylist(whole, schema), body)
        objects.write(f"{self.folder}/_delta_log/{version:020}.checkpoint.parquet", body.getvalue())
        objects.write(f"{self.folder}/_delta_log/_last_checkpoint", json.dumps({"version": version}).encode())

    # What stands in for Delta's own Java and Spark's DataFrames, as `fruitpipe.table.delta` calls them.

    def create(self, _spark: Any, _root: str, before_commit: Callable[[], None] = lambda: None, _hours: int = 0) -> None:
        if not self.versions:
            before_commit()
            self._commit([{"metaData": {"id": self.id}}], Version())

    def merge(
        self,
        spark: Any,
        root: str,
        outcomes: list[Row],
        ingested: Collection[datetime] = (),
        _counts: Mapping[str, int] | None = None,
    ) -> None:
        """As `commits.merge` has it. Raises LeaseLost."""
        number = int(spark.conf.get(commits.TXN_VERSION) or 0)
        if number and number <= self.now.number:
            raise LeaseLost(f"{root}/features: somebody else wrote it since this stream last did")
        base, found = len(self.versions) - 1, Merge(outcomes, commits.spans(ingested) if ingested else ())
        files = {name: rows for name, rows in self.now.files.items() if not any(map(found.matches, rows))}
        touched = self.now.files.keys() - files.keys()
        rows = [row for name in sorted(touched) for row in found.apply(self.now.files[name])] + found.inserted()
        self.suspended()
        self._check_alone(base)
        if not found.feed:
            return
        added = {self._written(rows, ROWS): rows} if rows else {}
        feed = [("", self._written(found.feed, CHANGED, "_change_data/"))]
        actions = [*({"add": self._add(name)} for name in added), *({"remove": {"path": name}} for name in touched)]
        actions += [{"cdc": {"path": name}} for _, name in feed] + [_txn(number)] * bool(number)
        self._commit(actions, Version(files | added, number or self.now.number, feed), touched)

    def remove(self, spark: Any, root: str, paths: Sequence[str], fence: Any = None) -> int:
        there = lookup.of_paths(root, paths)
        if there:
            gone = [dict.fromkeys(COLUMNS) | {"path": path, "outcome": Outcome.GONE} for path in there]
            with commits.fenced(spark, fence):
                self.merge(spark, root, gone)
        return len(there)

    def remove_others(self, spark: Any, _root: str, kept: Mapping[str, datetime], fence: Any = None) -> None:
        with commits.fenced(spark, fence):
            number = int(spark.conf.get(commits.TXN_VERSION) or 0)
            others = [row for row in self.now.rows() if row["ingested_at"] != kept.get(row["path"], row["ingested_at"])]
            touched = [name for name, rows in self.now.files.items() if any(row in others for row in rows)]
            rows = [row for name in touched for row in self.now.files[name] if row not in others]
            added = {self._written(rows, ROWS): rows} if rows else {}
            gone = self._written([row | {"_change_type": "delete"} for row in others], CHANGED, "_change_data/")
            files = {name: rows for name, rows in self.now.files.items() if name not in touched} | added
            self._commit([_txn(number)], Version(files, number, [("", gone)]), touched)

    def outcomes(self, _spark: Any, uris: Sequence[str]) -> list[Row]:
        return [row for uri in uris for row in self._read(uri.removeprefix(f"{self.folder}/"))]

    def with_features_of_moved(self, _spark: Any, _root: str, outcomes: list[Row], _ingested: Any) -> list[Row]:
        good = {(row["sha256"], row["extractor"]): row for row in self.now.rows() if row["error"] is None}
        copied = ("width", "height", "features")
        return [
            row
            | ({name: good[row["sha256"], row["extractor"]][name] for name in copied} if row["outcome"] == Outcome.MOVED else {})
            for row in outcomes
        ]

    def compact(self, _spark: Any, _root: str, _small_bytes: int) -> Any:
        before, rows = set(self.now.files), self.now.rows()
        if len(before) > 1:
            name = self._written(rows, ROWS)
            actions = [{"add": self._add(name) | {"dataChange": False}}]
            actions += [{"remove": {"path": one, "dataChange": False}} for one in before]
            self._commit(actions, Version({name: rows}, self.now.number), before)
        return upkeep.Files(len(before), 0)

    def sql(self, statement: str, files: Any = None) -> None:
        """A VACUUM of what lies in `files`, or a change of properties."""
        if not statement.startswith("VACUUM"):
            self._commit([{"metaData": {"id": self.id}}], Version(self.now.files, self.now.number))
            return
        before = self.clock() - timedelta(hours=int(statement.split()[-2]))
        for path in files.table["path"].to_pylist():
            name = objects.canonical(path).removeprefix(f"{self.folder}/")
            if name not in self.now.files and self.removed_at.get(name, before) <= before:
                objects.delete(f"{self.folder}/{name}")

    def describe(self, root: str) -> delta.Table:
        if not self.versions:
            raise NotFound(f"{root}: there are no features yet")
        return delta.Table(self.id, len(self.versions) - 1, plain=True)

    def pin(self, _spark: Any, root: str) -> Pinned:
        """As `changes.pin` has it."""
        version = self.describe(root).version
        all_good = [row for row in self.now.rows() if row["error"] is None]
        counts = Counter((row["extractor"], row["error_message"] is not None) for row in all_good)
        fitted = fitted_rows.of(root, ((name, False, stays, rows) for (name, stays), rows in counts.items()))
        good = [row for row in all_good if row["extractor"] == fitted.fingerprint]
        if len(good) < 2:
            raise NotEnoughRows(f"{root}: {len(good)} good rows")
        if max(Counter(row["path"] for row in good).values()) > 1:
            raise DuplicateRows(root)
        holding = (name for name, rows in self.now.files.items() if any(row in good for row in rows))
        files = tuple(File(f"{self.folder}/{name}", self._add(name)["size"]) for name in holding)
        return Pinned(root, self.id, version, fitted, len(good), files, True, len(all_good) - len(good))

    def changes(self, after: int, to: int) -> list[Row]:
        """The feed. Raises NotFound, or as Spark does where a file is gone."""
        if not objects.exists(f"{self.folder}/_delta_log/{after + 1:020}.json"):
            raise NotFound("the log begins later")
        feed = (one for version in self.versions[after + 1 : to + 1] for one in version.changes)
        try:
            return [row | ({"_change_type": kind} if kind else {}) for kind, name in feed for row in self._read(name)]
        except NotFound as error:
            raise PySparkException(f"FILE_NOT_EXIST {error}") from error

    def _check_alone(self, base: int) -> None:
        """As Delta does, which takes every change of rows for one of what was read."""
        if any(version.changes for version in self.versions[base + 1 :]):
            raise PySparkException("[DELTA_CONCURRENT_APPEND] somebody else's rows came first")

    def _commit(self, actions: Sequence[Row], version: Version, removed: Collection[str] = ()) -> None:
        body = "".join(f"{json.dumps(action, ensure_ascii=False)}\n" for action in actions).encode()
        objects.write(f"{self.folder}/_delta_log/{len(self.versions):020}.json", body, if_absent=True)
        self.versions.append(version)
        self.removed_at |= dict.fromkeys([*removed, *(name for _, name in version.changes if "/" in name)], self.clock())

    def _written(self, rows: list[Row], schema: pa.Schema, folder: str = "") -> str:
        name, body = f"{folder}part-{uuid.uuid4()}.parquet", io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema), body, write_page_checksum=True)
        objects.add(f"{self.folder}/{name}", body.getvalue())
        return name

    def _read(self, name: str) -> list[Row]:
        return pq.read_table(pa.BufferReader(objects.read(f"{self.folder}/{name}"))).to_pylist()

    def _add(self, name: str) -> Row:
        rows = self.now.files.get(name, ())
        size = len(objects.read(f"{self.folder}/{name}"))
        paths = sorted(row["path"] for row in rows)
        stats = {"numRecords": len(rows), "minValues": {"path": paths[:1]}, "maxValues": {"path": paths[-1:]}}
        return {"path": name, "size": size, "dataChange": True, "stats": json.dumps(stats)}


def _txn(number: int) -> Row:
    return {"txn": {"appId": APPLICATION, "version": number}}
