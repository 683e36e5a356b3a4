"""Adds rows to the features table without Spark, by deltalake, as `commits.add` does with it.

A commit is its entry in the log. What Delta does after one (a checkpoint, the removal of the log's old entries) is left to Spark,
so `is_due_for_spark` says when it is Spark's turn.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deltalake import CommitProperties, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, NotFound, PlatformFault
from fruitpipe.table.fence import APPLICATION
from fruitpipe.table.first_commit import WRITER_FEATURES
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fruitpipe.table.fence import Fence

INTERVAL, DELTAS_OWN = "delta.checkpointInterval", "10"  # commits from one checkpoint to the next, and where nothing is set


def add(root: str, files: Collection[str], fence: Fence, counts: Mapping[str, int]) -> None:
    """Adds rows of images that the table does not have: those of data files that lie in its folder, by their `add` actions.

    Nothing is committed where there are no files. counts: images by outcome, for the commit's entry in the log. Raises LeaseLost
    where somebody else has changed rows since this process last did, PlatformFault where the store fails.
    """
    if not files:
        return
    table = Snapshot(root)
    number = fence.number_after(table.version)
    deltas = table.of_deltalake
    # No other attempt, which would be for a version after that of somebody else.
    told = CommitProperties(
        {"userMetadata": json.dumps(dict(counts))}, max_commit_retries=0, app_transactions=[Transaction(APPLICATION, number)]
    )
    beside = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
    try:
        actions: list[AddAction | RemoveAction] = [_add_action(file) for file in files]
        deltas.create_write_transaction(
            actions, "append", deltas.schema(), commit_properties=told, post_commithook_properties=beside
        )
    except (DeltaError, OSError) as error:  # of a commit that was taken the answer may have been lost
        if not _is_taken(root, table.version + 1, actions[0].path):
            raise _refused(root, table, fence, error) from error
    fence.added(table.version + 1)


def _is_taken(root: str, version: int, path: str) -> bool:
    """Whether the table's entry of that version adds the file."""
    try:
        entry = objects.read(objects.join(root, "features", "_delta_log", f"{version:020}.json"))
    except NotFound:
        return False
    return any(json.loads(line).get("add", {}).get("path") == path for line in entry.splitlines())


def _refused(root: str, table: Snapshot, fence: Fence, error: Exception) -> LeaseLost | PlatformFault:
    """What the refusal of a commit means: another has written the next version, or the store fails."""
    if Snapshot(root).version > table.version:
        return fence.lost()
    return PlatformFault(f"{table.uri}: cannot be written ({error}); start again: what was committed is kept")


def can_take(table: Snapshot) -> bool:
    """Whether deltalake can write it: what a writer has to know of it is no more than of a table that the stream makes."""
    return table.writer_features <= set(WRITER_FEATURES)


def is_due_for_spark(table: Snapshot, commits: int) -> bool:
    """Whether one of the next `commits` versions is one after which Delta writes a checkpoint."""
    interval = int(table.configuration.get(INTERVAL, DELTAS_OWN))
    return (table.version + commits) // interval > table.version // interval


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
