"""A process of its own that does one piece of work after the other, and may be killed: native code that hangs ends it alone."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Asked = TypeVar("Asked")
Made = TypeVar("Made")
# How many threads NumPy's BLAS starts. With one a core in each process they would wait for one another: a photograph took twice
# the processor time. Spark sets it for its workers, whatever the user's environment says of other processes.
BLAS_THREADS = "OMP_NUM_THREADS"
_starting = threading.Lock()


class ProcessEnded(Exception):
    """The process ended before it answered: killed, most likely for its memory, or by native code."""


class NotStarted(ProcessEnded):
    """The process ended before it was ready, or could not be started: nothing that it was asked is to blame."""


class ServedProcess(Generic[Asked, Made]):
    """Does `work` in a process that starts when it is first needed, and again after one that ended.

    `work` is a function of a module, or an object that can be pickled, as are its argument and its result. One thread at a time
    may call it; any may `kill`.
    """

    def __init__(self, work: Callable[[Asked], Made]) -> None:
        self._work = work
        self._process: BaseProcess | None = None

    @property
    def pid(self) -> int | None:
        """Its number; None where it has not started, or has ended."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns when the process is ready. Raises NotStarted."""
        if self._process:
            return
        try:
            self._process = process = self._begun()
        except OSError as error:
            raise NotStarted(str(error)) from error
        try:
            self._send(self._work)  # not as its arguments: Python waits for ever where a process is killed before it reads them
            self._received()
        except ProcessEnded as error:
            raise NotStarted(f"it ended with {process.exitcode}") from error

    def _begun(self) -> BaseProcess:
        resource_tracker.ensure_running()  # it would be started with the process, and let signals through
        spawn = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of libraries hold
        self._pipe, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        # Its end of the pipe is closed here, so that the end of the process ends the pipe.
        with theirs, _starting, _without_interrupts(), _single_threaded():
            try:
                process.start()
            except OSError:
                self._pipe.close()
                raise
        return process

    def __call__(self, asked: Asked) -> Made:
        """The result of `work`, or what it raised. Raises ProcessEnded."""
        self.start()
        self._send(asked)
        made, error = self._received()
        if error:
            raise error
        return made  # type: ignore[no-any-return]

    def kill(self) -> None:
        """Ends the process, whatever it does; who waits for it gets ProcessEnded."""
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """Ends the process at once."""
        if self._process:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _send(self, given: Any) -> None:
        try:
            self._pipe.send(given)
        except OSError as error:
            self.close()
            raise ProcessEnded from error

    def _received(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            if self._process:
                self._process.join(1)  # so that it says itself how it ended
            self.close()
            raise ProcessEnded from error


def _serve(pipe: Connection) -> None:
    """What the process does: answers each call with what `work` makes of it and what it raised, until the pipe ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # who asked has ended
        work: Callable[[Any], Any] = pipe.recv()
        pipe.send("ready")
        while True:
            pipe.send(_answer(work, pipe.recv()))


def _end_with_parent() -> None:
    """Ends the process when the one that started it is gone, killed perhaps: what is in hand then has nobody to be for."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _answer(work: Callable[[Any], Any], asked: Any) -> tuple[Any, Exception | None]:
    """What `work` makes of it, and what it raised; an error that cannot be sent as its text."""
    try:
        return work(asked), None
    except Exception as error:  # noqa: BLE001 - raised by whoever asked
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        except Exception:  # noqa: BLE001 - of any kind
            return None, RuntimeError("".join(traceback.format_exception(error)))
        return None, error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started in the block never gets SIGINT: Ctrl-C goes to each process of a terminal, and the first one answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """What is started in the block has one thread of BLAS. For one thread at a time.

    Set here and not in the process, as a script that starts it is imported there first, and NumPy with it.
    """
    before = os.environ.get(BLAS_THREADS)
    os.environ[BLAS_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[BLAS_THREADS]
        else:
            os.environ[BLAS_THREADS] = before
