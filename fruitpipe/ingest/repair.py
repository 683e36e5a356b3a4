"""Repairs the features table: removes lost or damaged data files from it, so that their images are ingested again.

A repair holds the root's lease, so that no stream writes meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fruitpipe.root import lease
from fruitpipe.table import data_integrity, file_commits
from fruitpipe.table.fence import Fence
from fruitpipe.table.snapshot import Snapshot

if TYPE_CHECKING:
    from fruitpipe.table.data_integrity import Loss


def losses(root: str) -> list[Loss]:
    """The data files that are missing, cut or changed. Reads the whole table; files without page checksums show less."""
    return data_integrity.damaged(Snapshot(root))


def repair(root: str) -> list[Loss]:
    """Removes the files, and so their rows, from the table in one commit; returns them. A vacuum deletes those still there.

    Raises OtherWriter where a stream writes to the root, Damaged where the table's log cannot be read.
    """
    with lease.held(root) as held:
        fence, found = Fence(root, held.check), losses(root)
        file_commits.drop(root, [loss.file for loss in found], fence)
        return found
