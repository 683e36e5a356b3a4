"""A process that is ended by its deadline, and what it says."""

import os
import subprocess
import sys

import pytest

from fruitpipe.runtime import deadline

SLEEPS = """
import sys, time
from fruitpipe.runtime.deadline import deadline
with deadline(float(sys.argv[2])) as limit:
    with limit.of("the first"):
        pass
    with limit.of(sys.argv[1]):
        time.sleep(float(sys.argv[3]))
    print("through")
"""


def sleeping(folder, what, seconds, sleep):
    environment = {**os.environ, deadline.FOLDER: str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPS, what, str(seconds), str(sleep)], env=environment, stdout=subprocess.PIPE, text=True
    )
    said, _ = process.communicate(timeout=60)
    return process, said, (folder / str(process.pid)).read_text()


@pytest.mark.parametrize("what", ["s3://b/a.jpg", 'file:///a "b"\n\N{SNOWMAN}.jpg'])
def test_what_takes_too_long_ends_its_process_and_is_named_by_its_last_words(tmp_path, what):
    process, said, words = sleeping(tmp_path, what, 0.3, 600)
    assert (process.returncode, said) == (1, "")
    assert deadline.overdue(f"org.apache.spark.SparkException: Python worker exited unexpectedly (crashed): {words}") == what


def test_what_is_done_in_time_goes_on_and_what_crashes_otherwise_is_not_overdue(tmp_path):
    process, said, words = sleeping(tmp_path, "s3://b/a.jpg", 60, 0)
    assert (process.returncode, said) == (0, "through\n")
    assert deadline.overdue(words + "Fatal Python error: Segmentation fault") is None


def test_nothing_is_left_of_a_name_once_it_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv(deadline.FOLDER, str(tmp_path))
    file = tmp_path / str(os.getpid())
    with deadline.deadline(60) as limit:
        with pytest.raises(KeyError), limit.of("a" * 50):
            raise KeyError
        assert file.read_text() == ""
        with limit.of("b"):
            assert file.read_text() == 'in hand: "b"\n'
    assert file.read_text() == ""
