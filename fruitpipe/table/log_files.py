"""Inspects the files of the table's log: whether any is missing or cut, and whether a checkpoint holds the whole table.

Delta names them by version: `00000000000000000007.json` is a commit, `….checkpoint.parquet` the table at that version.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound, PlatformFault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from fruitpipe.table.snapshot import Snapshot

LOG_FILE = re.compile(r"\.?(\d{20})\.")
COMMIT = re.compile(r"\d{20}\.json")
STATE = re.compile(r"\d{20}\.(json|checkpoint\..*)")  # a commit or a checkpoint, of which Delta makes a table
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.(?:(\d{10})\.(\d{10})\.)?parquet")
RESTORE = (
    "restore it from a backup or from the bucket's earlier versions of it; where there is none, move the folder features away "
    "and start again: all images are then featurised again"
)
LAST_CHECKPOINT = "_last_checkpoint"  # names the newest checkpoint
PROTOCOL_AND_METADATA = 2  # rows of a checkpoint that are no file


def folder(table: str) -> str:
    """The URI of the log of the table in the folder `table`."""
    return objects.join(table, "_delta_log")


def has_state(table: str) -> bool:
    """Whether the log holds a commit or a checkpoint, readable or not."""
    return any(STATE.fullmatch(name) for name in objects.children(folder(table)))


def before(table: str, version: int) -> list[str]:
    """The URIs of the log's files of earlier versions."""
    named = ((stat.path, LOG_FILE.match(objects.name(stat.path))) for stat in objects.list_all(folder(table)))
    return [uri for uri, found in named if found and int(found[1]) < version]


def forget_checksums(table: str, *names: str) -> None:
    """Removes the checksum files that Hadoop keeps beside the log's files of these names, on a drive, before they are replaced.

    It would take what others write in their place for damaged, and move it out of the root.
    """
    if not objects.is_s3(table):
        for name in names:
            objects.delete(objects.join(folder(table), f".{name}.crc"))


def expired(table: str, since: datetime) -> list[str]:
    """The URIs of the log's files of versions that no reader needs who goes back to `since` at most.

    The newest checkpoint that was there then stands for those before it.
    """
    stats = [(objects.name(stat.path), stat.modification_time) for stat in objects.list_all(folder(table))]
    recent = [int(name[:20]) for name, at in stats if COMMIT.fullmatch(name) and at >= since]
    old = [int(found[1]) for name, _ in stats if (found := CHECKPOINT.fullmatch(name))]
    needed = max((version for version in old if not recent or version < min(recent)), default=0)
    return before(table, needed)


def check(table: str) -> None:
    """Raises Damaged where a file is missing or cut that the table's newest version is read from.

    Reads the newest checkpoint and the commits since: they are at most as many as a new reader would have to read.
    """
    names = objects.children(folder(table))
    commits = sorted(int(name[:20]) for name in names if COMMIT.fullmatch(name))
    begin = _newest_checkpoint(names)
    newest = max([begin, *commits])
    for name in (f"{version:020}.json" for version in range(begin + 1, newest + 1)):
        if fault := _fault_of_commit(objects.join(folder(table), name)):
            raise Damaged(f"{objects.join(folder(table), name)}: {fault}; {RESTORE}")
    if begin >= 0:
        parts = [name for name in names if name.startswith(f"{begin:020}.checkpoint.")]
        try:
            _files_in([objects.read(objects.join(folder(table), name)) for name in _parts(parts)])
        except (pa.ArrowException, ValueError, OSError) as error:
            raise Damaged(
                f"{objects.join(folder(table), parts[0])}: does not read back ({_first_line(error)}); {RESTORE}"
            ) from error


def commits_since_checkpoint(table: str) -> int:
    """How many commits a new reader has to read after the newest checkpoint."""
    names = objects.children(folder(table))
    begin = _newest_checkpoint(names)
    return sum(int(name[:20]) > begin for name in names if COMMIT.fullmatch(name))


def check_sizes(table: str) -> None:
    """Raises Damaged where a commit since the newest checkpoint has no bytes, which readers take for one that changed nothing.

    A computer that loses power leaves such files. One listing of the log.
    """
    sizes = {objects.name(stat.path): stat.length for stat in objects.list_all(folder(table))}
    begin = _newest_checkpoint(sizes)
    for name in sorted(name for name, size in sizes.items() if COMMIT.fullmatch(name) and not size and int(name[:20]) > begin):
        raise Damaged(f"{objects.join(folder(table), name)}: is an empty commit of the table's log; {RESTORE}")


def _newest_checkpoint(names: Iterable[str]) -> int:
    """The version of the newest checkpoint among the log's files; -1 without one."""
    return max((int(found[1]) for name in names if (found := CHECKPOINT.fullmatch(name))), default=-1)


def _fault_of_commit(uri: str) -> str | None:
    try:
        actions = [json.loads(line) for line in objects.read(uri).splitlines() if line.strip()]
    except NotFound:
        return "is missing from the table's log"
    except ValueError:
        return "is no commit of the table's log any more, it was cut or changed"
    return None if actions else "is an empty commit of the table's log"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_checkpoint(table: Snapshot) -> None:
    """Raises PlatformFault unless the checkpoint of the table's version holds, by itself, all that makes up the table.

    Reads the checkpoint alone: one that is missing, cut, or of fewer files or rows than the table would not be noticed as long as
    the commits before it are there to be read instead.
    """
    uri = objects.join(table.root, "features")
    names = [name for name in objects.children(folder(uri)) if name.startswith(f"{table.version:020}.checkpoint.")]
    try:
        found = _files_in([objects.read(objects.join(folder(uri), name)) for name in _parts(names)])
        last = json.loads(objects.read(objects.join(folder(uri), "_last_checkpoint")))["version"]
    except (pa.ArrowException, ValueError, KeyError, OSError) as error:
        raise PlatformFault(_unusable(uri, table.version, str(error))) from error
    expected = {file.path: file.rows for file in table.files()}
    if found != expected:
        held, there = (f"{len(files)} files of {sum(files.values())} rows" for files in (found, expected))
        raise PlatformFault(_unusable(uri, table.version, f"it holds {held}, the table {there}"))
    if last != table.version:
        raise PlatformFault(_unusable(uri, table.version, f"_last_checkpoint names version {last}"))


def _parts(names: list[str]) -> list[str]:
    """The files that a checkpoint consists of. Raises ValueError where some are missing."""
    matches = [found for name in names if (found := CHECKPOINT.fullmatch(name))]
    wanted = max((int(found[3] or 1) for found in matches), default=1)
    if len(matches) != wanted:
        raise ValueError(f"{len(matches)} of its {wanted} files are there")
    return [found[0] for found in matches]


def _files_in(parts: list[bytes]) -> dict[str, int]:
    """Path and rows of each file that a checkpoint names. Raises ValueError where it lacks the table's protocol or columns."""
    import pyarrow.parquet as pq  # a checkpoint is read before the log is cut, and by no other job

    columns = ["add", "metaData", "protocol"]
    rows = [row for part in parts for row in pq.read_table(io.BytesIO(part), columns=columns).to_pylist()]
    if sum(bool(row["metaData"] or row["protocol"]) for row in rows) != PROTOCOL_AND_METADATA:
        raise ValueError("it lacks the table's protocol or columns")
    adds: list[dict[str, Any]] = [row["add"] for row in rows if row["add"]]
    return {add["path"]: json.loads(add["stats"] or "{}").get("numRecords", 0) for add in adds}


def _unusable(table: str, version: int, why: str) -> str:
    return (
        f"{table}: the checkpoint of version {version} cannot stand for the log before it ({why}); "
        "nothing of the log was removed. Fix what keeps it from being written, and start again"
    )
