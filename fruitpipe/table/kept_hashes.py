"""The hashes of all rows, kept from one start of a job to the next, which then reads what changed since.

A file in this machine's cache holds them as of a version of the table. It may be lost at any time: all rows are read then.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from fruitpipe import objects
from fruitpipe.errors import MissingRequirement, NotFound
from fruitpipe.output import say
from fruitpipe.runtime import cache
from fruitpipe.table import hash_file, path_hashes, row_changes
from fruitpipe.table.hash_index import HashIndex
from fruitpipe.table.snapshot import Snapshot

WORTH = 100_000  # rows from which on a file is kept; fewer are read in 0.2 s
UNUSED_DAYS = 30  # that a file stays which no job reads


class KeptRowHashes:
    """The hashes of all rows, read when they are first asked for and kept until they are dropped.

    The listing and `Lookup` share the first reading, which `Lookup` keeps: a row that is gone costs it a question to the table.
    """

    def __init__(self, root: str, prefix: str) -> None:
        self._root, self._prefix = root, prefix
        self._read: HashIndex | None = None

    def __call__(self) -> HashIndex:
        """The hashes of all rows, as `path_hashes.of_rows` has them."""
        if self._read is None:
            self._read = of_rows(self._root, self._prefix)
        return self._read

    def drop(self) -> None:
        """Drops them, and the file: the next call reads the table, as after an erasure, whose rows are to be forgotten."""
        self._read = None
        place(self._root).unlink(missing_ok=True)


def place(root: str) -> Path:
    """Where the hashes of a root's rows are kept."""
    return cache.folder() / "hashes" / sha256(objects.canonical(root).encode()).hexdigest()[:32]


def of_rows(root: str, prefix: str) -> HashIndex:
    """The hashes of all rows, with a flag at those below `prefix`: those of the file with what changed since, or read anew."""
    try:
        table = Snapshot(root)
    except NotFound:
        return HashIndex()
    rows, file = sum(one.rows for one in table.files()), place(root)
    if rows < WORTH:
        return path_hashes.of_table(table, prefix)
    of = {"table": table.id, "prefix": prefix}
    version, index = _brought_up(file, of, table)
    if len(index) != rows:
        version, index = -1, path_hashes.of_table(table, prefix)
    if len(index) == rows:  # else an image has two, of which the change feed would not tell one's deletion from the other's
        _keep(file, of | {"version": table.version}, index, is_there=version == table.version)
    return index


def _brought_up(file: Path, of: Mapping[str, str], table: Snapshot) -> tuple[int, HashIndex]:
    """The version of the file, and its index with what changed since; an empty one where there is none, or nobody can tell."""
    facts, index = hash_file.read(file) or ({}, HashIndex())
    if not of.items() <= facts.items():
        return -1, HashIndex()
    feed = row_changes.since(table, facts["version"], of["prefix"])
    now = row_changes.applied(index, feed) if feed else None
    return facts["version"], HashIndex() if now is None else now


def _keep(file: Path, facts: dict[str, Any], index: HashIndex, *, is_there: bool) -> None:
    """Writes the file, or notes that it was read; removes those of other roots that were not for long. Says where it cannot."""
    try:
        if is_there:
            os.utime(file)
            return
        cache.made(file.parent.name).chmod(0o700)
        hash_file.write(file, facts, index)
        for other in file.parent.iterdir():
            if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86400:
                other.unlink(missing_ok=True)
    except (OSError, MissingRequirement) as error:
        say(f"ingest: {file}: cannot be written ({error}), so the next start reads all rows again", to=sys.stderr)
