"""Three processes contend for one root on an S3 server; whoever holds it is stopped for longer than its lease, over and over.

    python tests/soak/takeovers.py [--takeovers 500] [--lease-seconds 0.8] [--seed 0]

Each has the product's lease and fence, and a clock of its own that is hours off and up to 6 % fast or slow. The holder adds
rows, one a commit, for the numbers that it does not find in the table, and is stopped (SIGSTOP) at a random moment until
another one has taken over; half of them wake for a moment meanwhile, and one in twenty is killed. What must hold: no two hold
the root at one time, no row is there twice, no commit is lost.
The table's log is written by deltalake, with S3's conditional writes; what Delta's own writer makes of the fence, a test asks.
Needs versitygw (`go install github.com/versity/versitygw/cmd/versitygw@latest`).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))  # the tests are no installed package

from fruitpipe.errors import LeaseLost, OtherWriter  # noqa: E402
from fruitpipe.root import lease, s3_lease  # noqa: E402
from fruitpipe.table.fence import APPLICATION, Fence  # noqa: E402
from tests.aws.conftest import Server, versitygw, versitygw_started  # noqa: E402

ROWS = pa.schema([("path", pa.string()), ("holder", pa.string())])
FASTEST = 1.06  # and slowest: 1 / FASTEST
ASK_SECONDS = 0.005
WOKEN_SHARE = 0.5  # of the holders, for a moment before they stand still again
CONTENDERS = 3
KILLED_SHARE = 0.05  # of the holders; the others go on when somebody else has the root
DEADLINE_SECONDS = 120  # for one takeover


class Holder:
    """One of the processes: holds the root while it may, adds rows, and tells what it did in a file of its own, a line each."""

    def __init__(self, root: str, seconds: float, clock: Callable[[], float], log: int) -> None:
        self.root, self.seconds, self.clock, self.log = root, seconds, clock, log
        self.uri = f"{root}/features"
        self.options = options(os.environ["AWS_ENDPOINT_URL_S3"])

    def run(self) -> None:
        """Never ends."""
        while True:
            with contextlib.suppress(OtherWriter, LeaseLost), lease.held(self.root, self.seconds, self.clock) as held:
                self.hold(held, f"{os.getpid()}-{time.monotonic_ns()}")
            time.sleep(0.02)

    def hold(self, held: lease.Lease, tenure: str) -> None:
        """Adds rows, while a thread asks all the time whether that is still allowed."""
        over = threading.Event()
        asking = threading.Thread(target=self.ask, args=(held, tenure, over))
        asking.start()
        try:
            self.add_rows(Fence(self.root, held.check), tenure)
        finally:
            over.set()
            asking.join()

    def ask(self, held: lease.Lease, tenure: str, over: threading.Event) -> None:
        """Tells the last moment at which the lease was held."""
        last = None
        with contextlib.suppress(LeaseLost):
            while not over.wait(ASK_SECONDS):
                before = time.clock_gettime(time.CLOCK_BOOTTIME)
                held.check()
                last = before
        if last is not None:
            self.tell(holds=tenure, at=last)

    def add_rows(self, fence: Fence, tenure: str) -> None:
        """Until the lease is lost."""
        done = len(self.paths())  # what is known of the table is read once, under the lease, as the stream does
        while True:
            before = time.clock_gettime(time.CLOCK_BOOTTIME)
            fence()
            self.tell(holds=tenure, at=before)
            self.add(fence, f"{done:06}", tenure)
            done += 1

    def add(self, fence: Fence, path: str, tenure: str) -> None:
        """As the stream adds rows: on the version that the fence lets through, and on no other."""
        table = DeltaTable(self.uri, storage_options=self.options)
        number = fence.number_after(table.version())
        properties = CommitProperties(app_transactions=[Transaction(APPLICATION, number)], max_commit_retries=0)
        rows = pa.table({"path": [path], "holder": [tenure]}, ROWS)
        try:
            write_deltalake(table, rows, mode="append", commit_properties=properties)
        except (CommitFailedError, DeltaError) as error:
            raise fence.lost() from error
        fence.added(table.version())
        self.tell(committed=path)

    def paths(self) -> list[str]:
        return paths(self.uri, self.options)

    def tell(self, **said: Any) -> None:
        os.write(self.log, json.dumps(said).encode() + b"\n")


def options(endpoint: str) -> dict[str, str]:
    """What deltalake is to know of the server; it takes the keys from the environment."""
    return {"aws_conditional_put": "etag", "AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": endpoint}


def paths(uri: str, reached: dict[str, str]) -> list[str]:
    """All rows' paths."""
    column: list[str] = DeltaTable(uri, storage_options=reached).to_pyarrow_table(columns=["path"])["path"].to_pylist()
    return column


class Contest:
    """The processes, seen from outside."""

    def __init__(self, root: str, seconds: float, seed: int, folder: Path) -> None:
        self.root, self.seconds, self.folder, self.random = root, seconds, folder, random.Random(seed)
        self.started = self.killed = self.stopped = 0
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.read: dict[Path, int] = {}
        self.holds: dict[str, tuple[float, float]] = {}  # first and last moment at which each tenure was seen to hold
        self.committed: list[str] = []

    def start(self) -> None:
        """One more process, with a clock of its own."""
        rate, hours = self.random.uniform(1 / FASTEST, FASTEST), self.random.uniform(-48, 48)
        self.started += 1
        command = [sys.executable, __file__, "--holder", self.root, "--lease-seconds", str(self.seconds)]
        command += ["--rate", str(rate), "--ahead", str(3600 * hours), "--log", str(self.folder / f"{self.started}.jsonl")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=(self.folder / f"{self.started}.err").open("w"))
        self.processes[process.pid] = process

    def look(self) -> int | None:
        """Reads what was told since; the process that was the last to hold the root."""
        for log in self.folder.glob("*.jsonl"):
            with log.open() as file:
                file.seek(self.read.get(log, 0))
                whole = file.read().rpartition("\n")[0]
            self.read[log] = self.read.get(log, 0) + len(whole) + bool(whole)
            for line in whole.splitlines():
                self._note(json.loads(line))
        latest = max(self.holds, key=lambda tenure: self.holds[tenure][0], default=None)
        return None if latest is None else int(latest.partition("-")[0])

    def _note(self, said: dict[str, Any]) -> None:
        if "committed" in said:
            self.committed.append(said["committed"])
        else:
            first, last = self.holds.get(said["holds"], (said["at"], said["at"]))
            self.holds[said["holds"]] = (min(first, said["at"]), max(last, said["at"]))

    def other_than(self, loser: int | None) -> int:
        """The next process that holds the root."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (found := self.look()) in (None, loser):
            for process in self.processes.values():
                assert process.poll() is None, [log.read_text()[-2000:] for log in self.folder.glob("*.err")]
            assert time.monotonic() < deadline, f"nobody took over from {loser} in {DEADLINE_SECONDS} s"
            time.sleep(0.02)
        assert found is not None
        return found

    def takeover(self) -> None:
        """Stops the holder, or kills it, until somebody else has the root."""
        time.sleep(self.random.uniform(0, self.seconds))
        loser = self.look()
        if loser not in self.processes:
            loser = self.other_than(loser)
        os.kill(loser, signal.SIGSTOP)
        if self.random.random() < WOKEN_SHARE:  # while it may, or may just no longer, hold the root
            time.sleep(self.random.uniform(0, 1.5 * self.seconds))
            os.kill(loser, signal.SIGCONT)
            time.sleep(self.seconds / 10)
            os.kill(loser, signal.SIGSTOP)
        self.other_than(loser)
        if self.random.random() < KILLED_SHARE:
            self.processes.pop(loser).kill()
            self.killed += 1
            self.start()
        else:
            os.kill(loser, signal.SIGCONT)
            self.stopped += 1

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.look()

    def check(self, rows: list[str]) -> None:
        """Raises AssertionError where two held the root at one time, a row is there twice, or one that was committed is not."""
        tenures = sorted(self.holds.values())
        both = [(one, next_) for one, next_ in itertools.pairwise(tenures) if one[1] >= next_[0]]
        assert not both, f"two held the root at one time: {both}"
        assert len(rows) == len(set(rows)), f"{len(rows) - len(set(rows))} rows are there twice"
        assert not (lost := set(self.committed) - set(rows)), f"commits lost: {sorted(lost)}"
        assert len(self.committed) == len(set(self.committed)), "a row was committed twice"


@contextlib.contextmanager
def contest(server: Server, seconds: float, seed: int) -> Iterator[Contest]:
    """Processes that contend for a new root, until the block ends; then what must hold is checked."""
    os.environ |= server.environment
    root = f"s3://{server.bucket()}/root"
    reached = options(server.endpoint)
    DeltaTable.create(f"{root}/features", ROWS, storage_options=reached)
    with tempfile.TemporaryDirectory(prefix="fruitpipe-takeovers-") as folder:
        found = Contest(root, seconds, seed, Path(folder))
        for _ in range(CONTENDERS):
            found.start()
        try:
            found.other_than(None)
            yield found
        finally:
            found.end()
        found.check(rows := paths(f"{root}/features", reached))
        assert rows, "nothing was committed"


def main() -> None:
    parser = argparse.ArgumentParser(description="Processes take one root from each other.")
    parser.add_argument("--takeovers", type=int, default=500)
    parser.add_argument("--lease-seconds", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    for name, kind in {"holder": str, "rate": float, "ahead": float, "log": str}.items():
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.holder:
        log = os.open(given.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        Holder(given.holder, given.lease_seconds, lambda: given.rate * s3_lease.clock() + given.ahead, log).run()
    if not versitygw():
        sys.exit("versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@latest")
    with tempfile.TemporaryDirectory(prefix="fruitpipe-soak-") as folder, versitygw_started(Path(folder)) as server:
        began = time.monotonic()
        with contest(server, given.lease_seconds, given.seed) as found:
            for _ in range(given.takeovers):
                found.takeover()
    took = f"seed {given.seed}: {given.takeovers} takeovers in {time.monotonic() - began:.0f} s"
    holders = (
        f"{found.stopped} holders stopped, {found.killed} killed, {len(found.holds)} tenures, {len(found.committed)} commits"
    )
    print(f"{took} ({holders}): no two at once, no row twice, no commit lost")


if __name__ == "__main__":
    main()
