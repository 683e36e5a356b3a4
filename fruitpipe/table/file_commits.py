"""Commits that name data files, by deltalake: files that workers wrote become rows, and lost ones go with theirs.

Such a commit is an entry of the table's log that must not be there yet, written on that condition: to S3 by a conditional PUT, to
a drive as a hard link. Delta's own snapshot in Spark sees it as any other. `commits` holds those that have to read rows.

| call | needs the lease | what a failure does |
|---|---|---|
| `add`, `drop` | yes, they commit | raises, and nothing is committed |
| `checkpoint` | no: it writes what the log says already | raises; the log is read without it |
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deltalake import CommitProperties, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from fruitpipe import objects
from fruitpipe.errors import NotFound, PlatformFault, WrongRoot
from fruitpipe.output import one_line, say
from fruitpipe.table import log_files
from fruitpipe.table.fence import APPLICATION
from fruitpipe.table.first_commit import WRITER_FEATURES
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fruitpipe.table.fence import Fence
    from fruitpipe.table.snapshot import DataFile

    Actions = Sequence[AddAction | RemoveAction]

ATTEMPTS, PAUSE_SECONDS = 5, 1.0  # of a commit whose request is lost, and from one to the next
ALONE = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)  # a hook that fails looks like a refusal


class _NotWritten(PlatformFault):
    """The store failed, and the entry is not there."""


def can_commit(table: Snapshot) -> bool:
    """Whether deltalake can write it: what a writer has to know of it is no more than of a table that the stream makes."""
    return not _unknown(table)


def _unknown(table: Snapshot) -> list[str]:
    return sorted(table.writer_features - set(WRITER_FEATURES))


def add(root: str, files: Collection[str], fence: Fence | None = None, counts: Mapping[str, int] | None = None) -> None:
    """Adds rows of images that the table does not have: those of data files that lie in its folder, by their `add` actions.

    Nothing is committed where there are no files. counts: images by outcome, for the commit's entry in the log. Raises LeaseLost
    where somebody else has changed rows since this process last did, which a fence tells, PlatformFault where the store fails.
    """
    _commit(root, [_add_action(file) for file in files], fence, counts or {})


def drop(root: str, files: Collection[DataFile], fence: Fence | None = None) -> None:
    """Takes data files out of the table, and with them their rows, whether they can still be read or not.

    The rest is as for `add`, but that it raises WrongRoot for a table that deltalake cannot write, which `add` is not called for.
    """
    if files and (unknown := _unknown(Snapshot(root))):
        raise WrongRoot(
            f"{root}/features: no file can be taken out of it, as it has the features {', '.join(unknown)} of Delta; take those "
            "away (ALTER TABLE ... DROP FEATURE ..., for each) and start again"
        )
    now = round(1000 * datetime.now(UTC).timestamp())
    _commit(root, [RemoveAction(file.path, True, now, file.size_bytes, {}) for file in files], fence, {})


def checkpoint(root: str) -> None:
    """Writes a checkpoint of the table's newest version. Raises PlatformFault where it cannot be written."""
    table = _opened(root)
    log_files.forget_checksums(table.uri, log_files.LAST_CHECKPOINT, f"{table.version:020}.checkpoint.parquet")
    try:
        table.of_deltalake.create_checkpoint()
    except (DeltaError, OSError) as error:
        raise PlatformFault(f"{table.uri}: a checkpoint of the table's log cannot be written ({one_line(str(error))})") from error


def _commit(root: str, actions: Actions, fence: Fence | None, counts: Mapping[str, int]) -> None:
    """Commits, after commits of others that change no row as often as one of them takes the next version.

    A request for an entry that is lost on its way is made again: deltalake does not, as it does not know whether it arrived.
    """
    attempts = ATTEMPTS if actions else 0
    while attempts:
        table = _opened(root)
        version = table.version + 1
        try:
            if _is_committed(table, version, actions, fence, counts):
                if version % table.checkpoint_interval == 0:  # as with Delta's own commits
                    _checkpoint_or_say(root)
                return
        except _NotWritten:
            attempts -= 1
            if not attempts:
                raise
            time.sleep(PAUSE_SECONDS)


def _is_committed(table: Snapshot, version: int, actions: Actions, fence: Fence | None, counts: Mapping[str, int]) -> bool:
    """Commits, as that version; returns False where somebody else's commit has it. Raises LeaseLost, _NotWritten."""
    numbered = [Transaction(APPLICATION, fence.number_after(table.version))] if fence else []
    # No other attempt of deltalake's own, which would be for a version after that of somebody else.
    told = CommitProperties({"userMetadata": json.dumps(dict(counts))}, max_commit_retries=0, app_transactions=numbered)
    deltas = table.of_deltalake
    if fence:
        fence()
    try:
        deltas.create_write_transaction(
            list(actions), "append", deltas.schema(), commit_properties=told, post_commithook_properties=ALONE
        )
    except (DeltaError, OSError) as error:  # of a commit that was taken the answer may have been lost
        if not _is_taken(table.root, version, actions):
            if Snapshot(table.root).version >= version:
                return False
            raise _NotWritten(
                f"{table.uri}: cannot be written ({one_line(str(error))}); start again: what was committed is kept"
            ) from error
    if fence:
        fence.added(version)
    return True


def _opened(root: str) -> Snapshot:
    """The table, to be written."""
    return Snapshot(root, by_rename=not objects.takes_links(root))


def _is_taken(root: str, version: int, actions: Actions) -> bool:
    """Whether the table's entry of that version is of these actions."""
    try:
        entry = objects.read(objects.join(log_files.folder(objects.join(root, "features")), f"{version:020}.json"))
    except NotFound:
        return False
    kind = "add" if isinstance(actions[0], AddAction) else "remove"
    return any(json.loads(line).get(kind, {}).get("path") == actions[0].path for line in entry.splitlines())


def _checkpoint_or_say(root: str) -> None:
    """Writes a checkpoint. One that fails costs readers time and no row, so it is told and no more."""
    try:
        checkpoint(root)
    except PlatformFault as error:
        say(f"{error}; the next one is due in as many commits, and until then the table is read more slowly")


def _add_action(line: str) -> AddAction:
    add = json.loads(line)["add"]
    return AddAction(
        path=add["path"],
        size=add["size"],
        partition_values=add["partitionValues"],
        modification_time=add["modificationTime"],
        data_change=add["dataChange"],
        stats=add["stats"],
    )
