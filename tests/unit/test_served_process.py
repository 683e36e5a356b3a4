"""A process that is served: what reaches it, and what is said of one that does not start."""

import os
import subprocess
import sys

import pytest

from fruitpipe.runtime.served_process import NotStarted, ServedProcess

BLOCKED = """
import signal
from fruitpipe.runtime.served_process import ServedProcess

for _ in range(2):
    process = ServedProcess(len)
    process.start()
    with open(f"/proc/{process.pid}/status") as status:
        blocked = int(status.read().split("SigBlk:")[1].split()[0], 16)
    print(bool(blocked >> (signal.SIGINT - 1) & 1))
    process.close()
"""


class Ending:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (3,)

    def __call__(self, asked):
        return asked


@pytest.mark.skipif(sys.platform != "linux", reason="needs linux: signals are read from /proc")
def test_ctrl_c_reaches_neither_the_first_process_nor_a_later_one():
    ended = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "True"]


def test_a_process_that_does_not_start_says_how_it_ended():
    with pytest.raises(NotStarted, match="it ended with 3"):
        ServedProcess(Ending()).start()
