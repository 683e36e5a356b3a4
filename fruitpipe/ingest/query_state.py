"""The state of a query's batches: running, ending, cut short or failed. Spark's error texts do not tell these apart."""

from __future__ import annotations

import enum
import threading

POLL_SECONDS = 0.2  # for which a query is waited for at a time


class Stopping(Exception):
    """Raised by a batch that is refused, or cut short, while the query is being ended; the next query runs it again."""


class State(enum.Enum):
    """The state of a query's batches."""

    RUNNING = "each batch is carried out"
    ENDING = "the batch in progress commits the chunks that were begun; no other is taken"
    CUT_SHORT = "a batch was refused, whole or in part; Spark reports the query as failed, but it is not"
    FAILED = "a batch raised an error, which is the job's"


NEXT = {
    State.RUNNING: {State.ENDING, State.FAILED},
    State.ENDING: {State.CUT_SHORT, State.FAILED},
    State.CUT_SHORT: set[State](),
    State.FAILED: set[State](),
}


class QueryState:
    """The state of one query's batches; `failure` is what one of them raised.

    The job's thread calls `end`; the thread that runs the batches calls `cut_short` or `fail`.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._state = State.RUNNING
        self._changing = threading.Lock()

    @property
    def is_running(self) -> bool:
        """Whether batches are taken."""
        return self._state is State.RUNNING

    @property
    def was_cut_short(self) -> bool:
        """Whether the query ended because a batch raised `Stopping`."""
        return self._state is State.CUT_SHORT

    def end(self) -> None:
        """Lets no other batch begin. After a failure nothing changes."""
        self._become(State.ENDING)

    def cut_short(self) -> Stopping:
        """Notes that a batch is refused or cut short, and returns the error that it is to raise."""
        self._become(State.CUT_SHORT)
        return Stopping()

    def fail(self, error: BaseException) -> None:
        """Notes the error that a batch raised."""
        self._become(State.FAILED)
        self.failure = error

    def _become(self, state: State) -> None:
        with self._changing:
            if state in NEXT[self._state]:
                self._state = state
