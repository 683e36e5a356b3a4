"""Whether a version of the reduced features is whole: the Parquet files that its `reduction.json` names, by name and size.

A version of an earlier fruitpipe names no files; its rows are counted instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import Damaged
from fruitpipe.table import data_integrity, vector_files

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = "files"  # the fact that names them


def way_out(root: str) -> str:
    """What a user can do about a version that is damaged."""
    return (
        f"readers get another version after fruitpipe rollback --root {root} VERSION, "
        f"and a new one after fruitpipe refit --root {root} --full"
    )


def files(folder: str) -> dict[str, int]:
    """Name and bytes of each Parquet file of a version."""
    return {objects.name(file.uri): file.length for file in vector_files.listed(folder)}


def check(folder: str, facts: Mapping[str, Any]) -> None:
    """Raises Damaged where a file is missing, of another size, or none of the version's. One listing.

    Says nothing of a version whose facts name no files.
    """
    if FILES not in facts:
        return
    named, there = facts[FILES], files(folder)
    for name in sorted(there.keys() | named.keys()):
        if there.get(name) != named.get(name):
            raise Damaged(f"{objects.join(folder, name)}: {_fault(there.get(name), named.get(name))}; {_way_out(folder)}")


def verify(folder: str, facts: Mapping[str, Any]) -> int:
    """Reads all files of a version against their checksums, and returns its rows. Raises Damaged, for too few rows as well."""
    check(folder, facts)
    rows = sum(whole(folder, name)[1] for name in files(folder))
    check_rows(folder, rows, facts)
    return rows


def copy(folder: str, to: str, facts: Mapping[str, Any]) -> None:
    """Gives a new version the Parquet files of another, copied by the store itself: no row is read. Raises Damaged."""
    check(folder, facts)
    for stat in objects.list_all(folder):
        if stat.path.endswith(".parquet"):
            objects.copy(stat.path, objects.join(to, objects.name(stat.path)))


def check_rows(folder: str, rows: int, facts: Mapping[str, Any]) -> None:
    """Raises Damaged for another number of rows than was published."""
    if rows != facts["rows"]:
        raise Damaged(f"{folder}: {rows} of the {facts['rows']} rows that were published are there; {_way_out(folder)}")


def _way_out(folder: str) -> str:
    return way_out(folder.rsplit("/", 2)[0])  # ROOT/reduced/VERSION


def whole(folder: str, name: str) -> tuple[bytes, int]:
    """The bytes of one file of a version, read against their checksums, and its rows. Raises Damaged."""
    uri = objects.join(folder, name)
    try:
        body = objects.read(uri)
        return body, data_integrity.verify(body)
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"{uri}: does not read back ({str(error).splitlines()[0]}); {_way_out(folder)}") from error


def _fault(there: int | None, named: int | None) -> str:
    if there is None:
        return "is missing"
    return "is no file of this version" if named is None else f"has {there} bytes in place of {named}"
