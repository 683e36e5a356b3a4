"""The thread on which an erasure searches beside the stream's query: the search takes longest of all steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.erasure.search import Search
    from fruitpipe.erasure.steps import Request


class SearchThread(threading.Thread):
    """Runs `look` for some requests; when it has ended, `result` gives what was found."""

    def __init__(self, look: Callable[[Sequence[Request]], Search], requests: Sequence[Request]) -> None:
        super().__init__(daemon=True, name="fruitpipe-search")  # a stream that stops does not wait: the next searches again
        self.requests = requests
        self._look = look
        self._found: Search | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Searches. A caller with nothing else to do may call it instead of `start`."""
        try:
            self._found = self._look(self.requests)
        except BaseException as error:  # noqa: BLE001 - raised where the requests are concluded
            self._failure = error

    def result(self) -> Search:
        """What an ended search found. Raises what it raised."""
        if self._failure:
            raise self._failure
        assert self._found is not None
        return self._found
