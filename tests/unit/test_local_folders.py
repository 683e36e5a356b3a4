"""Spark's working folders on a laptop: what a killed process left goes at the next start, a living one's stays."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from fruitpipe.runtime import local_folders

START = """
from fruitpipe.runtime import local_folders
own = local_folders.own()
(own / "blocks").write_text("a name")
print(own, flush=True)
input()
"""


def test_what_a_killed_process_left_goes_and_a_living_ones_stays(tmp_path):
    environment = os.environ | {"FRUITPIPE_CACHE": str(tmp_path)}

    def started():
        process = subprocess.Popen([sys.executable, "-c", START], env=environment, stdin=-1, stdout=-1, text=True)
        return process, process.stdout.readline().strip()

    killed, left = started()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert set(os.listdir(left)) == {"in-use", "blocks"}
    living, used = started()
    third, _ = started()
    assert not os.path.exists(left)
    assert os.path.exists(f"{used}/blocks")
    for process in (living, third):
        process.communicate("\n")


def test_while_a_folder_is_made_and_not_locked_yet_no_other_start_can_look_for_folders_to_remove(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    lock, others = local_folders._lock, []

    def watched(made):
        with open(tmp_path / "spark" / ".starting") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        others.append(made)
        return lock(made)

    monkeypatch.setattr(local_folders, "_lock", watched)
    made = local_folders.own.__wrapped__()
    assert others == [made]
    with open(tmp_path / "spark" / ".starting") as next_one:
        fcntl.flock(next_one, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_old_logs_go_at_a_start_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for name, days in (("old.log", 31), ("new.log", 29)):
        file = tmp_path / "logs" / name
        file.write_text("a name")
        os.utime(file, times=(time.time() - days * 86400,) * 2)
    assert local_folders.logs() == tmp_path / "logs"
    assert os.listdir(tmp_path / "logs") == ["new.log"]
