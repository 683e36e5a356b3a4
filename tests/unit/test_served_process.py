"""A process that is served: what reaches it, and what is said of one that does not start."""

import os
import subprocess
import sys

import pytest

from fruitpipe.runtime.served_process import NotStarted, ServedProcess
from tests import processes

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

NUMPY_FIRST = """
import os

import numpy
from threadpoolctl import threadpool_info

from fruitpipe.runtime.served_process import ServedProcess


def threads(_):
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


if __name__ == "__main__":
    print(ServedProcess(threads)(None), os.environ.get("OMP_NUM_THREADS"))
"""

KILLED = """
import os
import signal
import threading
from pathlib import Path

from fruitpipe.runtime.served_process import ServedProcess


def wait(file):
    Path(file).write_text(str(os.getpid()))
    threading.Event().wait()


if __name__ == "__main__":
    process = ServedProcess(wait)
    threading.Thread(target=process, args=("child",)).start()
    while not (Path("child").exists() and Path("child").read_text()):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
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


@pytest.mark.parametrize(("given", "found"), [(None, "{1} None"), ("2", "{1} 2")])
def test_it_has_one_thread_of_blas_and_the_environment_stays_as_it_is(tmp_path, given, found):
    pytest.importorskip("threadpoolctl", reason="needs scikit-learn: pip install 'fruitpipe[see]'")
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two cores: BLAS starts no more threads than there are")
    script = tmp_path / "script.py"
    script.write_text(NUMPY_FIRST)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}  # tests have their own
    environment |= {"OMP_NUM_THREADS": given} if given else {}
    ended = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == found


@pytest.mark.skipif(sys.platform != "linux", reason="needs linux: processes are read from /proc")
def test_it_ends_at_once_where_who_started_it_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(KILLED)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=False)
    processes.wait_for_end([int((tmp_path / "child").read_text())])
