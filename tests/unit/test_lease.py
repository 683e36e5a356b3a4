"""One writer a root, on a local folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fruitpipe import objects
from fruitpipe.errors import LeaseLost, NotFound, OtherWriter
from fruitpipe.root import lease

HOLD = """
import sys
from fruitpipe.root import lease
with lease.held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def holder(root):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_holds_the_root_and_since_when(root, holder):
    with pytest.raises(OtherWriter, match=rf"process {holder.pid} since 20\d\d-.*; stop that stream first"), lease.held(root):
        pass


def test_a_holder_that_was_killed_holds_nothing(root, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with lease.held(root) as held:
        held.check()


def test_a_lease_is_free_again_after_its_block(root):
    for _ in range(2):
        with lease.held(root) as held:
            held.check()


def test_a_holder_whose_lock_was_removed_may_no_longer_write(root, tmp_path):
    with lease.held(root) as held:
        (tmp_path / "root" / "writer.json").unlink()
        with pytest.raises(LeaseLost, match="removed or replaced"):
            held.check()


def test_who_has_released_a_root_in_s3_may_no_longer_write_though_the_lease_is_not_over(monkeypatch):
    def nothing(uri):
        raise NotFound(uri)

    monkeypatch.setattr(objects, "read_with_etag", nothing)
    monkeypatch.setattr(objects, "write", lambda *_, **__: "etag")
    monkeypatch.setattr(objects, "drop_version", lambda *_: None)
    with lease.held("s3://fruits/root") as held:
        held.check()
    with pytest.raises(LeaseLost):
        held.check()
