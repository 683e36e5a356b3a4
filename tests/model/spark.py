"""What the product asks of a Spark session, done in this process: a frame is an Arrow table of one partition.

The query reads manifests as Spark's file source does, and keeps a checkpoint of the same files, so that the product reads them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import Row

from fruitpipe import objects
from fruitpipe.errors import NotFound
from fruitpipe.ingest import checkpoint
from fruitpipe.refit.on_spark import Source
from fruitpipe.root import layout
from tests.model.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fruitpipe.ingest.micro_batch import Batches
    from fruitpipe.settings import IngestSettings
    from tests.model.table import Table

EVENT_BYTES = 256  # of a line of a manifest, as `jobs.ingest` counts
COMPACT = 10  # entries of a source's log after which all are written as one


@dataclass
class Frame:
    """The part of a DataFrame that is used."""

    table: pa.Table

    def mapInArrow(self, work: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]], _schema: str) -> Frame:  # noqa: N802
        """An error of the product passes as it is, which Spark would quote and `session.explained` read again."""
        batches = list(work(iter(self.table.to_batches())))
        return Frame(pa.Table.from_batches(batches) if batches else pa.table({"nothing": pa.array([], pa.binary())}))

    def collect(self) -> list[Row]:
        return [Row(**row) for row in self.table.to_pylist()]

    def toArrow(self) -> pa.Table:  # noqa: N802 - Spark's name
        return self.table

    def toDF(self, name: str) -> Frame:  # noqa: N802 - Spark's name
        return Frame(self.table.rename_columns([name]))

    def repartition(self, _parts: int) -> Frame:
        return self


@dataclass
class Feed:
    """The change feed, as a refit asks it: what changed of good rows, counted by kind."""

    rows: list[dict[str, Any]]

    def where(self, condition: str) -> Feed:
        if condition == "error IS NULL":
            return Feed([row for row in self.rows if row["error"] is None])
        column, extractor = condition.split(" = ")
        assert column == "extractor", condition
        return Feed([row for row in self.rows if row["extractor"] == extractor.strip("'")])

    def groupBy(self, column: str) -> Feed:  # noqa: N802 - Spark's name
        assert column == "_change_type", column
        return self

    def count(self) -> Frame:
        counts = Counter(row["_change_type"] for row in self.rows)
        return Frame(pa.table({"_change_type": list(counts), "count": list(counts.values())}))

    def net(self) -> Feed:
        """As `changes._net` has it."""
        kinds, found = {"insert": 1, "update_postimage": 1}, dict[tuple[Any, ...], list[dict[str, Any]]]()
        for row in self.rows:
            found.setdefault((row["path"], row["label"], tuple(row["features"])), []).append(row)
        sums = [(rows[0], sum(kinds.get(row["_change_type"], -1) for row in rows)) for rows in found.values()]
        return Feed([row | {"_change_type": "insert" if total > 0 else "delete"} for row, total in sums if total])

    def of_type(self, types: Sequence[str], _counts: Mapping[str, int]) -> Source:
        """As `changes._of_type` has it."""
        rows = pa.Table.from_pylist([row for row in self.rows if row["_change_type"] in types], ROWS)
        return Source(Frame(rows.select(["path", "label", "features"])), tasks=1)  # type: ignore[arg-type]


class Session:
    """A session with one core, whose SQL is the table's."""

    def __init__(self, table: Table) -> None:
        self.table, self.conf, self.sparkContext = table, Settings(), Context()

    def createDataFrame(self, rows: pa.Table) -> Frame:  # noqa: N802 - Spark's name
        return Frame(rows)

    def range(self, start: int, end: int, numPartitions: int) -> Frame:  # noqa: N803, ARG002 - Spark's names
        return Frame(pa.table({"id": list(range(start, end))}))

    def sql(self, statement: str, files: Frame | None = None) -> None:
        self.table.sql(statement, files)


class Settings(dict[str, Any]):
    """The session's configuration."""

    set, unset = dict.__setitem__, dict.pop


class Context:
    """The session's context, and its own status tracker."""

    master, defaultParallelism = "local[1]", 1  # noqa: N815 - Spark's name

    def broadcast(self, value: Any) -> Any:
        return Row(value=value)

    def statusTracker(self) -> Any:  # noqa: N802 - Spark's name
        return None

    def parallelize(self, *_: Any) -> Any:
        raise OSError  # workers that start early: there are none

    @staticmethod
    def get() -> Any:
        """What a task asks: it is the first."""
        return Task


class Task:
    """The one task."""

    @staticmethod
    def partitionId() -> int:  # noqa: N802 - Spark's name
        return 0


class Query:
    """A query that catches up: what was not committed first, with the files that it had, then what lies there."""

    def __init__(self, _spark: Session, settings: IngestSettings, batches: Batches) -> None:
        self._settings, self._batches, self._place = settings, batches, checkpoint.place(settings.root)
        self.lastProgress = None
        batches.begin_query()

    def awaitTermination(self, _timeout: float) -> bool:  # noqa: N802 - Spark's name
        """Raises what the batches do, as Spark would, which quotes it."""
        try:
            self._catch_up()
        except Exception as error:
            raise PySparkException(f"[STREAM_FAILED] {type(error).__name__}: {error}") from error
        return True

    def stop(self) -> None:
        """Nothing goes on beside it."""

    def _catch_up(self) -> None:
        if not self._children(""):
            self._write("metadata", '{"id":"1"}')
        begun, done = self._last("offsets"), self._last("commits")
        if begun > done:
            self._run(begun, self._taken_since(begun))
        taken = {file["path"] for file in self._entries()}
        events = objects.list_all(layout.folder(self._settings.root, "events"))
        new = sorted((stat.modification_time, stat.path, stat.length) for stat in events if _is_manifest(stat.path))
        waiting = [(path, length) for _, path, length in new if quote(path, safe="/:") not in taken]
        while waiting:
            share, size = [waiting.pop(0)], 0
            while waiting and (size := size + share[-1][1]) < self._settings.max_files_per_trigger * EVENT_BYTES:
                share.append(waiting.pop(0))
            number = self._last("offsets") + 1
            entry = self._note([path for path, _ in share])
            self._write(f"offsets/{number}", '{"batchWatermarkMs":0}', json.dumps({"logOffset": entry}))
            self._run(number, [path for path, _ in share])

    def _run(self, number: int, paths: Sequence[str]) -> None:
        lines = [line for path in paths for line in _lines(path)]
        self._batches(Frame(pa.table({"value": pa.array(lines, pa.string())})), number)  # type: ignore[arg-type]
        self._write(f"commits/{number}", "{}")

    def _note(self, paths: Sequence[str]) -> int:
        """Writes the entry of a source's log that takes these files; every tenth holds all."""
        number = max([-1, *(file["batchId"] for file in self._entries())]) + 1
        entries = [{"path": quote(path, safe="/:"), "timestamp": 0, "batchId": number} for path in paths]
        is_compact = number % COMPACT == COMPACT - 1
        every = [*self._entries(), *entries] if is_compact else entries
        self._write(f"sources/0/{number}{'.compact' * is_compact}", *map(json.dumps, every))
        return number

    def _taken_since(self, begun: int) -> list[str]:
        """The files of the batch that was begun; an erasure may have taken some."""
        entry, before = (self._entry_of(number) for number in (begun, begun - 1))
        return [objects.canonical(_plain(file["path"])) for file in self._entries() if before < file["batchId"] <= entry]

    def _entry_of(self, number: int) -> int:
        if number < 0:
            return -1
        return int(json.loads(objects.read(f"{self._place}/offsets/{number}").decode().splitlines()[2])["logOffset"])

    def _entries(self) -> list[dict[str, Any]]:
        names = self._children("sources/0")
        compact = max([-1, *(int(name.removesuffix(".compact")) for name in names if name.endswith(".compact"))])
        wanted = [f"{compact}.compact"] * (compact >= 0) + sorted(
            (name for name in names if name.isdigit() and int(name) > compact), key=int
        )
        bodies = [objects.read(f"{self._place}/sources/0/{name}").decode() for name in wanted]
        return [json.loads(line) for body in bodies for line in body.splitlines()[1:]]

    def _last(self, kind: str) -> int:
        return max([-1, *(int(name) for name in self._children(kind) if name.isdigit())])

    def _children(self, folder: str) -> list[str]:
        return objects.children(f"{self._place}/{folder}".rstrip("/"))

    def _write(self, name: str, *lines: str) -> None:
        objects.write(f"{self._place}/{name}", "\n".join(("v1", *lines)).encode())


def _is_manifest(path: str) -> bool:
    return path.endswith(".jsonl") and not objects.name(path).startswith((".", "_"))


def _plain(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path)


def _lines(path: str) -> list[str]:
    try:
        return [line for line in objects.read(path).decode().split("\n") if line]
    except NotFound:  # Spark is told to skip files that are missing
        return []
