"""The thread on which an erasure searches beside the stream's query: the search takes longest of all steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.erasure.search import Search
    from fruitpipe.erasure.steps import Request


class SearchThread(threading.Thread):
    """Runs `look` for some requests; when it has ended, `found` or `failure` is set."""

    def __init__(self, look: Callable[[Sequence[Request]], Search], requests: Sequence[Request]) -> None:
        super().__init__(daemon=True, name="fruitpipe-search")  # a stream that stops does not wait: the next searches again
        self.requests = requests
        self.found: Search | None = None
        self.failure: BaseException | None = None
        self._look = look

    def run(self) -> None:
        """Searches. A caller with nothing else to do may call it instead of `start`."""
        try:
            self.found = self._look(self.requests)
        except BaseException as error:  # noqa: BLE001 - raised where the requests are concluded
            self.failure = error
