"""A deadline for native code: ends the process where a call takes too long, and says in Spark's error what it was working on.

Nothing in the process can interrupt a decoder in C: Python runs signal handlers only between its own instructions. The watchdog
of `faulthandler` is a thread that needs no interpreter. It writes into the file where Spark's workers write on a crash
(`spark.sql.execution.pyspark.udf.faulthandler.enabled`), and Spark quotes that file in the error that the driver gets. Standard
library only, as the workers import it.
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
OVERDUE = re.compile(IN_HAND + r'("(?:[^"\\]|\\.)*")\nTimeout \(')  # our line, and the one with which `faulthandler` follows


class Deadline:
    """Ends the process where a block takes longer than `seconds`; costs 70 µs a block. output: the crash file."""

    def __init__(self, seconds: float, output: IO[bytes]) -> None:
        self._seconds, self._output = seconds, output

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Ends the process where the block takes too long; `overdue` then finds `what` in Spark's error."""
        line = f"{IN_HAND}{json.dumps(what)}\n".encode()
        os.ftruncate(self._output.fileno(), 0)  # it is opened to append, as the watchdog's text follows
        os.write(self._output.fileno(), line)
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._output)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            os.ftruncate(self._output.fileno(), 0)  # an image's name stays for no longer than it is in hand


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """A deadline of so many seconds for one block after the other in this process. Outside Spark its output is dropped."""
    folder = os.environ.get(FOLDER)
    with (
        open(os.path.join(folder, str(os.getpid())), "ab", buffering=0) if folder else TemporaryFile("ab", buffering=0) as output
    ):
        yield Deadline(seconds, output)


def overdue(text: str) -> str | None:
    """What a process was working on that its deadline ended, by the text of Spark's error; None for any other error."""
    found = OVERDUE.search(text)
    return json.loads(found[1]) if found else None
