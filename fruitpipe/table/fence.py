"""Fencing of commits: one that changes rows builds on the last that this process made or found, or Delta refuses it.

The lease says who may begin a commit. A process may be suspended between its check of the lease and the commit, while another
writes the table, and would then commit rows that are there already. So each such commit has a number, one more than the one
before, in Delta's field for idempotent writes (`txn`). By it Delta refuses a merge that is not the next. An append is bound to
the version of the table on which it builds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, NotFound
from fruitpipe.table.snapshot import Snapshot

APPLICATION = "fruitpipe"  # what Delta keeps the number under
ROWS = {"add", "remove", "cdc"}  # actions of Delta's log that may change rows


class Fence:
    """Made under the lease, before anything is read of the table. `check_lease` raises where the lease is lost.

    Called, it looks at the lease alone, as for commits that change no row.
    """

    def __init__(self, root: str, check_lease: Callable[[], None]) -> None:
        self._root, self._check_lease = objects.canonical(root), check_lease
        try:
            self._see(Snapshot(root))
        except NotFound:
            self._version, self._number = -1, 0

    def __call__(self) -> None:
        """Raises LeaseLost where somebody else may write by now."""
        self._check_lease()

    @property
    def number(self) -> int:
        """The number of the next commit that changes rows."""
        return self._number + 1

    def number_after(self, version: int) -> int:
        """The same for a commit that builds on a version of the table. Raises LeaseLost where that holds others' rows."""
        if version < self._version or any(self._is_anothers(one) for one in range(self._version + 1, version + 1)):
            raise self.lost()
        self._version = version
        return self.number

    def added(self, version: int) -> None:
        """Notes an append, which became this version."""
        self._version, self._number = version, self._number + 1

    def merged(self) -> None:
        """Notes a merge, which made a newer version, or none where there was nothing to do. Raises LeaseLost."""
        newest = Snapshot(self._root)
        self._number += 1
        self.number_after(newest.version)
        self._see(newest)

    def lost(self) -> LeaseLost:
        """The error where another process has changed rows."""
        return LeaseLost(
            f"{self._root}/features: somebody else changed rows after version {self._version}; nothing more is written. "
            "Two streams must not write one root: stop the other one, and start again "
            f"(fruitpipe doctor --root {self._root} tells who holds it)"
        )

    def _see(self, table: Snapshot) -> None:
        self._version, self._number = table.version, table.number_of(APPLICATION)

    def _is_anothers(self, version: int) -> bool:
        """Whether a version changed rows under a number that this process has not given."""
        try:
            log = objects.read(objects.join(self._root, "features", "_delta_log", f"{version:020}.json"))
        except NotFound:  # an erasure has cut the log since
            return Snapshot(self._root).number_of(APPLICATION) > self._number
        actions = [json.loads(line) for line in log.splitlines()]
        numbers = [action["txn"]["version"] for action in actions if action.get("txn", {}).get("appId") == APPLICATION]
        return any(map(_changes_rows, actions)) and (not numbers or numbers[0] > self._number)


def _changes_rows(action: dict[str, Any]) -> bool:
    return any(action[kind].get("dataChange", True) for kind in ROWS & action.keys())
