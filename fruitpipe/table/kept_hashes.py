"""The hashes of all rows, kept from one start of a job to the next, which then reads what changed since.

A file in this machine's cache holds them as of a version of the table, of which it has the log entry's checksum: a table that was
restored from a backup may have another of that number. It may be lost at any time: all rows are read then.
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
from fruitpipe.table import hash_file, log_files, path_hashes, row_changes
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
        _forget(place(self._root))


def place(root: str) -> Path:
    """Where the hashes of a root's rows are kept."""
    return cache.folder() / "hashes" / sha256(objects.canonical(root).encode()).hexdigest()[:32]


def of_rows(root: str, prefix: str) -> HashIndex:
    """The hashes of all rows, with a flag at those below `prefix`: those of the file with what changed since, or read anew."""
    file = place(root)
    _remove_unused(file.parent)
    try:
        table = Snapshot(root)
    except NotFound:
        _forget(file)
        return HashIndex()
    rows = sum(one.rows for one in table.files())
    if rows < WORTH:
        _forget(file)
        return path_hashes.of_table(table, prefix)
    of = {"table": table.id, "prefix": prefix}
    version, index = _brought_up(file, of, table)
    if len(index) != rows:
        version, index = -1, path_hashes.of_table(table, prefix)
    if len(index) == rows:
        _keep(
            file, of | {"version": table.version, "entry": _entry(table, table.version)}, index, is_there=version == table.version
        )
    else:  # an image has two, of which the change feed would not tell one's deletion from the other's
        _forget(file)
    return index


def _brought_up(file: Path, of: Mapping[str, str], table: Snapshot) -> tuple[int, HashIndex]:
    """The version of the file, and its index with what changed since; an empty one where there is none, or nobody can tell."""
    facts, index = hash_file.read(file) or ({}, HashIndex())
    if not of.items() <= facts.items() or not facts["entry"] or facts["entry"] != _entry(table, facts["version"]):
        return -1, HashIndex()
    feed = row_changes.since(table, facts["version"], of["prefix"])
    now = row_changes.applied(index, feed) if feed else None
    return facts["version"], HashIndex() if now is None else now


def _entry(table: Snapshot, version: int) -> str | None:
    """The SHA-256 of the log's entry of a version, in hexadecimal; None where it is gone, or was never there."""
    try:
        return sha256(objects.read(objects.join(log_files.folder(table.uri), f"{version:020}.json"))).hexdigest()
    except NotFound:
        return None


def _keep(file: Path, facts: dict[str, Any], index: HashIndex, *, is_there: bool) -> None:
    """Writes the file, or notes that it was read. Says where it cannot."""
    try:
        if is_there:
            os.utime(file)
            return
        cache.made(file.parent.name).chmod(0o700)
        hash_file.write(file, facts, index)
    except (OSError, MissingRequirement) as error:
        say(f"ingest: {file}: cannot be written ({error}), so the next start reads all rows again", to=sys.stderr)


def _remove_unused(folder: Path) -> None:
    """Removes the files of roots that no start has read for long."""
    for file in folder.iterdir() if folder.is_dir() else ():
        if time.time() - file.stat().st_mtime > UNUSED_DAYS * 86400:
            _forget(file)


def _forget(file: Path) -> None:
    """Removes a file, in which may be hashes of what was erased. Says where it cannot."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        say(f"{file}: cannot be removed ({error}); remove it, as it holds hashes of images' names", to=sys.stderr)
