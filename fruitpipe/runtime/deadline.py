"""A deadline for native code, which nothing in its own process can interrupt: the process ends, and leaves its last words.

Python's signal handlers run between two of its instructions, of which a decoder in C runs none; the watchdog of `faulthandler` is
a thread that needs no interpreter. The last words go where Spark's workers leave what a crash says
(`spark.sql.execution.pyspark.udf.faulthandler.enabled`), which Spark quotes in the error that the driver gets. Standard library
only: the workers import it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO

FOLDER = "PYTHON_FAULTHANDLER_DIR"  # in a worker's environment; its file there is named by its process id
IN_HAND = "in hand: "
OVERDUE = re.compile(IN_HAND + r'("(?:[^"\\]|\\.)*")\nTimeout \(')  # the last words, as `faulthandler` goes on with them


class Deadline:
    """Ends the process where something takes longer than `seconds`. Each costs 70 µs."""

    def __init__(self, seconds: float, words: IO[bytes]) -> None:
        self._seconds, self._words = seconds, words

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Ends the process where the block takes too long; `overdue` then finds `what` in its last words."""
        line = f"{IN_HAND}{json.dumps(what)}\n".encode()
        os.ftruncate(self._words.fileno(), 0)  # it is opened to append, as the watchdog's words are to follow
        os.write(self._words.fileno(), line)
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._words)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """A deadline of so many seconds, for one thing after the other in this process. Outside Spark nobody hears its last words."""
    folder = os.environ.get(FOLDER)
    with open(os.path.join(folder, str(os.getpid())), "ab", buffering=0) if folder else TemporaryFile("ab", buffering=0) as words:
        yield Deadline(seconds, words)


def overdue(text: str) -> str | None:
    """What a process had in hand that its deadline has ended, as `text` quotes its last words; None where they are others."""
    found = OVERDUE.search(text)
    return json.loads(found[1]) if found else None
