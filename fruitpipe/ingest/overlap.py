"""Does pieces of work on threads ahead of the caller, who uses the result of one while the next are in progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 2  # chunks in progress: a core that has finished its part of one begins the next


def results(
    work: Callable[[T, threading.Event], R],
    pieces: Iterable[T],
    at_once: int = AT_ONCE,
    drop: Callable[[R], object] = lambda _: None,
) -> Generator[R]:
    """The results of `work(piece, cancelled)`, in the order in which they are ready; `at_once` pieces are in progress.

    A piece is taken from `pieces` when its work begins, in the caller's thread. Where one fails, or the caller closes this, no
    other begins and `cancelled` is set for those in progress, which are waited for; `drop` gets their results.
    """
    cancelled, waiting = threading.Event(), iter(pieces)
    with ThreadPoolExecutor(at_once, "fruitpipe-featurise") as pool:
        begun: set[Future[R]] = set()
        try:
            begun |= {pool.submit(work, piece, cancelled) for piece in islice(waiting, at_once)}
            while begun:
                ready = _first_of(begun)
                begun.remove(ready)
                result = ready.result()
                begun |= {pool.submit(work, piece, cancelled) for piece in islice(waiting, 1)}
                yield result
        except BaseException:
            cancelled.set()
            for future in wait(begun).done:
                if not future.exception():
                    drop(future.result())
            raise


def _first_of(begun: set[Future[R]]) -> Future[R]:
    return next(iter(wait(begun, return_when=FIRST_COMPLETED).done))
