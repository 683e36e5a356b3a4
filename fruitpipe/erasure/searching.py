"""The search for what requests leave, beside the stream's query: it takes longest of all steps, and only reads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.erasure.search import Search
    from fruitpipe.erasure.steps import Request


class Searching(threading.Thread):
    """A search of what some requests leave to be read, beside the query; `found` or `failure` when it is over."""

    def __init__(self, look: Callable[[Sequence[Request]], Search], requests: Sequence[Request]) -> None:
        super().__init__(daemon=True, name="fruitpipe-search")  # a stream that is stopped does not wait: the next searches anew
        self.requests = requests
        self.found: Search | None = None
        self.failure: BaseException | None = None
        self._look = look

    def run(self) -> None:
        """The search itself, also for a caller who has nothing else to do."""
        try:
            self.found = self._look(self.requests)
        except BaseException as error:  # noqa: BLE001 - raised where the requests are concluded
            self.failure = error
