"""What the table knows of images, read without Spark: a million rows in half a second, where a Spark job takes 2.5 s.

Most images that come are new, and to learn that from the table costs a reading that grows with it. The stream is the table's only
writer, so a hash of each path, read once and kept up to date, tells it for sure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fruitpipe.table import path_hashes
from fruitpipe.table.hash_index import HashIndex
from fruitpipe.table.snapshot import Snapshot, text

if TYPE_CHECKING:
    from fruitpipe.pictures.variants import Current

NAMES = 50_000  # asked for in one query, which takes 0.4 GB of memory
# Reasons that another time, limit or version may take back. Nobody looks at such an image again unless an event names it.
AGAIN = {"archived", "no-key", "too-slow", "decoder-error", "too-many-pixels", "not-an-image", "unsupported-format"}
RECENT = 100_000  # hashes of what was asked for that are kept as a set, before they are sorted in among earlier ones


LATEST = "SELECT path FROM features WHERE {good} ORDER BY ingested_at DESC"
LATEST_OF_LABELS = (
    "SELECT last_value(path ORDER BY ingested_at) AS path FROM features WHERE {good}"
    " GROUP BY label ORDER BY max(ingested_at) DESC"
)


class Known(NamedTuple):
    """What the table knows of an image's bytes, to be compared with what the object store has, and when its row was made."""

    path: str
    etag: str | None
    sha256: str | None
    extractor: str
    ingested_at: datetime
    error: str | None = None
    length: int | None = None
    width: int | None = None
    height: int | None = None
    error_message: str | None = None
    rows: int = 1  # that the image has: more than one where two streams once wrote at one time

    def is_stale(self, now: Current) -> bool:
        """Whether it has features of another extractor, and does not say yet why they stay."""
        return self.error is None and self.error_message is None and not now.made(self.extractor, self.width, self.height)

    def worth_another_look(self, max_image_bytes: int) -> bool:
        """Whether the same object may give another row: it is restored, or a limit or the decoder is another by now.

        (What was unreadable has no etag.)
        """
        is_allowed = self.error == "too-large" and self.length is not None and self.length <= max_image_bytes
        return is_allowed or self.error in AGAIN


def may_be_read_now(max_image_bytes: int) -> str:
    """The SQL of whether the store, or another limit, may give the bytes of the same object by now, as only a look can tell."""
    return f"coalesce(error = 'unreadable' OR (error = 'too-large' AND length <= {max_image_bytes}), false)"


def of_paths(root: str, paths: Sequence[str]) -> dict[str, Known]:
    """What the table knows of `paths`; of several rows of one image, what the best says: one with features, the latest.

    Reads some scalar columns of the files whose statistics admit one of them.
    """
    table = Snapshot(root)
    parts = (paths[first : first + NAMES] for first in range(0, len(paths), NAMES))
    known: dict[str, Known] = {}
    for row in (row for part in parts for row in table.query(_rows_of(part))):
        one, before = Known(**row), known.get(row["path"])
        best = max(one, before, key=_worth) if before else one
        known[row["path"]] = best._replace(rows=before.rows + 1 if before else 1)
    return known


def _worth(row: Known) -> tuple[bool, datetime]:
    return row.error is None, row.ingested_at


def _rows_of(paths: Sequence[str]) -> str:
    """The SQL. A join, as a list of names is compared one by one."""
    names = ", ".join(f"({text(path)})" for path in paths)
    near = f"path BETWEEN {text(min(paths))} AND {text(max(paths))}"
    columns = ", ".join(name for name in Known._fields if name != "rows")
    return f"SELECT {columns} FROM features WHERE {near} AND path IN (SELECT column1 FROM (VALUES {names}))"  # noqa: S608


def good_paths(root: str, count: int, but: Collection[str], but_below: Sequence[str] = ()) -> list[str]:
    """Images that were featurised, none of `but`: the latest of each of the latest labels, then the latest of all.

    Those in folders of `but` come last, those below `but_below` not at all. Reads four columns of the table.
    """
    others, table = frozenset(but), Snapshot(root)
    avoided = {folder(path) for path in others}
    good = " AND ".join(["error IS NULL", *(f"NOT starts_with(path, {text(prefix)})" for prefix in but_below)])
    rows = table.query(f"{LATEST_OF_LABELS.format(good=good)} LIMIT {count + len(avoided)}")
    found = [row["path"] for row in rows if folder(row["path"]) not in avoided]
    if len(found) < count:
        rows = table.query(f"{LATEST.format(good=good)} LIMIT {count + len(others) + len(found)}")
        found += [row["path"] for row in rows if row["path"] not in others and row["path"] not in found]
    return found[:count]


def folder(path: str) -> str:
    """The URI of the folder that an image lies in."""
    return path.rpartition("/")[0]


def among(root: str, chosen: Callable[[list[str]], list[str]]) -> list[str]:
    """The images with rows that `chosen` takes, of each batch of their names. Reads one column, and keeps nothing else."""

    def of_batch(rows: pa.RecordBatch) -> list[str]:
        return chosen([str(path) for path in rows["path"].to_pylist()])

    return [path for part in Snapshot(root).each("SELECT path FROM features", of_batch) for path in part]


class Lookup:
    """Asks `ask` for what is known of paths, but only for those whose hash is among `hashes()`, or was asked for before.

    Two paths may share a hash: that costs a question, and no more.
    """

    def __init__(self, hashes: Callable[[], HashIndex], ask: Callable[[Sequence[str]], dict[str, Known]]) -> None:
        self._hashes, self._ask = hashes, ask
        self._rows: HashIndex | None = None
        self._asked, self._recent = HashIndex(), set[int]()

    def __call__(self, paths: Sequence[str]) -> dict[str, Known]:
        """What the table knows of `paths`; whoever asks is about to write them, so they count as known from now on."""
        asked = path_hashes.of_paths(paths)
        there = zip(paths, asked.tolist(), self._has(asked), strict=True)
        perhaps = [path for path, number, is_there in there if is_there or number in self._recent]
        self._recent.update(asked.tolist())
        return self._ask(perhaps) if perhaps else {}

    def _has(self, asked: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self._rows is None:
            self._rows = self._hashes()
        if len(self._recent) > max(RECENT, len(self._asked) // 32):  # each time all are written anew
            recent = np.fromiter(self._recent, np.int64)
            self._asked = self._asked.updated(HashIndex.of(recent, recent))
            self._recent.clear()
        found: NDArray[np.bool_] = self._rows.has_path(asked) | self._asked.has_path(asked)
        return found
