"""The thread on which an erasure searches beside the stream's query: the search takes longest of all steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.erasure.search import Search
    from fruitpipe.erasure.steps import Request


STOP_SECONDS = 10.0  # for the file in hand; a store that does not answer holds a stopping stream no longer


class SearchThread(threading.Thread):
    """Runs `look(requests, stopped)`; when it has ended, `result` gives what was found.

    stopped: is set by `stop`, and `look` raises soon after it.
    """

    def __init__(self, look: Callable[[Sequence[Request], threading.Event], Search], requests: Sequence[Request]) -> None:
        super().__init__(daemon=True, name="fruitpipe-search")
        self.requests = requests
        self._stopped = threading.Event()
        self._look = look
        self._found: Search | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Searches. A caller with nothing else to do may call it instead of `start`."""
        try:
            self._found = self._look(self.requests, self._stopped)
        except BaseException as error:  # noqa: BLE001 - raised where the requests are concluded
            self._failure = error

    def stop(self) -> None:
        """Ends the search, which the next stream begins anew. Python that ends while a thread is in Arrow may abort."""
        self._stopped.set()
        if self.is_alive():
            self.join(STOP_SECONDS)

    def result(self) -> Search:
        """What an ended search found. Raises what it raised."""
        if self._failure:
            raise self._failure
        assert self._found is not None
        return self._found
