"""Looks up rows of images that are to be erased, in the table and in its old files, and of others whose names are like theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from fruitpipe import objects
from fruitpipe.erasure import file_contents, search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.unpacking import NotReadable
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.root import layout
from fruitpipe.table import lookup, vector_files
from fruitpipe.table.snapshot import Snapshot, text

NAMES = 10_000  # hashes asked for in one query


@dataclass(frozen=True)
class Rows:
    """The rows under a root; none where there is no table yet. No method reads the vectors."""

    root: str

    @cached_property
    def _table(self) -> Snapshot | None:
        try:
            return Snapshot(self.root)
        except NotFound:
            return None

    def hashes(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256, hexadecimal, of those of `paths` that have a row; empty where the bytes were not read."""
        if not self._table or not paths:
            return {}
        return {path: known.sha256 or "" for path, known in lookup.of_paths(self.root, sorted(paths)).items()}

    def hashes_before(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256 of those of `paths` that have a row in an old file of the table; empty for those that only a version names.

        Reads all old files, and the names in all files of versions.
        """
        if not paths:
            return {}
        in_versions = {path: "" for path in self._in_versions() if path in paths}
        return in_versions | {path: sha256 for path, sha256 in self._before() if path in paths}

    def below(self, prefix: str) -> list[str]:
        """The paths of the images with rows below a prefix."""
        return self._paths(f"path = {text(prefix)} OR starts_with(path, {text(prefix + '/')})")

    def labelled(self, label: str) -> list[str]:
        """The paths of the images with rows of a label."""
        return self._paths(f"label = {text(label)}")

    def same_bytes(self, hashes: Collection[str], but: Collection[str]) -> list[str]:
        """The paths of images with one of these SHA-256, sorted; `but` those."""
        asked = sorted(set(hashes) - {""})
        parts = (asked[first : first + NAMES] for first in range(0, len(asked), NAMES))
        listed = (", ".join(f"({text(one)})" for one in part) for part in parts)
        found = (path for values in listed for path in self._paths(f"sha256 IN (SELECT column1 FROM (VALUES {values}))"))  # noqa: S608
        return sorted(set(found) - set(but))

    def _paths(self, where: str) -> list[str]:
        if not self._table:
            return []
        return [row["path"] for row in self._table.query(f"SELECT path FROM features WHERE {where}")]  # noqa: S608 - quoted

    def _before(self) -> Iterator[tuple[str, str]]:
        folder = layout.folder(self.root, "features")
        current = {objects.join(folder, file.path) for file in self._table.files()} if self._table else set()
        listed = (stat.path for stat in objects.list_all(folder))
        old = [uri for uri in listed if uri.endswith(".parquet") and "/_delta_log/" not in uri and uri not in current]
        for _, body in search.bodies(old):
            try:
                rows = pq.read_table(pa.BufferReader(body), columns=["path", "sha256"])
            except (pa.ArrowException, OSError):  # a file that a killed task left unfinished: its image is ingested again
                continue
            named = zip(rows["path"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
            yield from ((str(path), str(sha256 or "")) for path, sha256 in named)

    def _in_versions(self) -> Iterator[str]:
        """The images of versions, published or not: a version keeps the row of an image that was removed since it was fitted."""
        for stat in objects.list_all(layout.folder(self.root, "reduced")):
            if vector_files.is_data(objects.name(stat.path)):
                with suppress(NotReadable, NotFound):  # of a refit that was killed, or pruned meanwhile
                    yield from file_contents.images_of_rows(objects.opened(stat))


def that_stay(root: str, paths: frozenset[str]) -> list[str]:
    """The images with rows in whose names one of `paths` can be read. Reads the names of all rows.

    None where there is no table, or a damaged one: they are then taken for traces, until a later attempt can read it.
    """
    try:
        return lookup.among(root, Traces.of(paths).among)
    except (NotFound, Damaged):
        return []
