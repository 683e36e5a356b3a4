"""A version as a dataset folder, such as the Hugging Face Hub takes: Parquet files, a card, and a description in Croissant.

    OUT/data/part-v000012-00000-0123456789abcdef.parquet    never changes: the digits are of its SHA-256
    OUT/croissant.json                                      names these files with their hashes
    OUT/README.md                                           the card, which names them for readers; written last

A reader that begins at the card, or at the description, gets the files of one version, whatever is being written beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import NotFound, WrongUsage
from fruitpipe.export import card, croissant
from fruitpipe.export.described import DATA, DataFile, Described
from fruitpipe.export.place import check_outside, examples, root_digits
from fruitpipe.refit import version_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fruitpipe.export.register import Export

CARD, DESCRIPTION = "README.md", "croissant.json"
DIGITS = 16
OURS = re.compile(rf"part-.+-[0-9a-f]{{{DIGITS}}}\.parquet")


def folder(_place: str, _described: Described, /) -> str:
    """None of its own: a place holds one dataset."""
    return ""


def check(new: Export, described: Described, *, is_known: bool) -> None:
    """Raises WrongUsage where a dataset folder of the root cannot be put. is_known: whether the register lists one there.

    Names that begin with a dot, such as those of git, are no hindrance.
    """
    root, to = described.root, new.place
    check_outside(root, to)
    if is_known or _root_of(to) == root_digits(root):
        return
    if foreign := [name for name in objects.children(to) if not name.startswith(".")]:
        raise WrongUsage(
            f"{to} holds {examples(foreign)}, which fruitpipe publish did not write for {root}; give an empty place "
            "or that of an earlier one"
        )


def write(new: Export, described: Described) -> tuple[int, str]:
    """Writes what is not there yet of a version, and removes data files that are not of it, with what a bucket keeps of those.

    Returns the number of rows, and what was done. Raises Damaged, before the card names other files.
    """
    to = new.place
    there = _data(to)
    files, written = [], 0
    for file, body in _files(described):
        files.append(file)
        if there.get(file.name) != file.length:
            objects.write(objects.join(to, file.path), body)
            written += file.length
    rows = sum(file.rows for file in files)
    version_files.check_rows(described.folder, rows, described.facts)
    described = described._replace(files=tuple(sorted(files)))
    _write(objects.join(to, DESCRIPTION), croissant.of(described))
    _write(objects.join(to, CARD), card.of(described))
    _remove_data(to, except_for={file.name for file in files})
    return rows, f"{written} bytes of data written"


def remove(old: Export) -> None:
    """Removes what `write` put there, the card first; what others put beside it stays."""
    to = old.place
    for name in (CARD, DESCRIPTION):
        objects.erase(objects.join(to, name))
    _remove_data(to, except_for=set())


def _remove_data(to: str, except_for: set[str]) -> None:
    folder = objects.join(to, DATA)
    for name in _data(to).keys() - except_for:
        if OURS.fullmatch(name):
            objects.delete(objects.join(folder, name))
    objects.purge(folder)


def _data(to: str) -> dict[str, int]:
    """Name and bytes of each file directly in the data folder; what lies deeper is somebody else's."""
    folder = objects.join(to, DATA)
    found = ((objects.name(stat.path), stat) for stat in objects.list_all(folder))
    return {name: stat.length for name, stat in found if stat.path == objects.join(folder, name)}


def _write(uri: str, body: bytes) -> None:
    """Writes a file that does not say the same already: each writing leaves a version in a bucket that keeps them."""
    try:
        if objects.read(uri) == body:
            return
    except NotFound:
        pass
    objects.write(uri, body)


def _files(described: Described) -> Iterator[tuple[DataFile, bytes]]:
    """Each data file of the version, one at a time. Raises Damaged."""
    for name in sorted(version_files.files(described.folder)):
        body, rows = version_files.whole(described.folder, name)
        digest = hashlib.sha256(body).hexdigest()
        yield DataFile(f"{name.removesuffix('.parquet')}-{digest[:DIGITS]}.parquet", len(body), rows, digest), body


def _root_of(to: str) -> str | None:
    """The root that the description of a dataset folder says it was made of."""
    try:
        found = json.loads(objects.read(objects.join(to, DESCRIPTION)))
    except (NotFound, ValueError):
        return None
    return str(found.get("identifier")) if isinstance(found, dict) else None
