"""How near the stream comes to the bound, with pictures and root on a folder and on an S3 server. Prints tables.

    python benchmarks/throughput.py                                    8,000 images, on a folder
    python benchmarks/throughput.py --images 20000 --where local s3    the figures of the README

**Steady state** is from the second commit to the last, all between commits included. Two chunks are in hand from the start, and
wait for Java and for the workers to start; the second commit says that both are done. The whole process stands beside it. The
bound (benchmarks/bound.py) is measured before and after each run, as machines have better and worse minutes, and the ratio is to
the mean of the two. The **S3** server runs on the same cores: its share of the processor time is taken off, that is, images/s are
divided by the share that was left.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

from benchmarks import compare, engines, features, s3_server  # noqa: E402
from fruitpipe.ingest.chunks import IMAGES_PER_CORE  # noqa: E402
from fruitpipe.ingest.overlap import AT_ONCE  # noqa: E402

ROUNDS = 3
BOUND_IMAGES = 8_000  # 20 s: a process takes 0.2 s to end, which is none of the bound's
COMMIT = re.compile(r"batch \d+: (\d+) featurised in")


class Run(NamedTuple):
    """Images/s once the workers are started, and seconds from the start of the process to its end."""

    steady: float
    seconds: float


def ingest(images: str, root: str) -> Run:
    """Runs a whole `--once` in a process of its own."""
    command = [sys.executable, str(CHECKOUT / "streaming" / "ingest.py"), "--images", images, "--root", root, "--once"]
    began = time.monotonic()
    commits: list[tuple[float, int]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            commits += [(time.monotonic(), int(count)) for count in COMMIT.findall(line)]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    seconds = time.monotonic() - began
    (started, _), *later = commits[AT_ONCE - 1 :]
    return Run(sum(count for _, count in later) / (later[-1][0] - started), seconds)


def bound(images: Path) -> float:
    """Images/s of processes that only read, decode and infer."""
    within = engines.run(engines.BOUND, images, images.with_name("nothing"), "").within
    assert within is not None
    return BOUND_IMAGES / within


def processor_seconds(pid: int) -> float:
    """The processor seconds that a process has used so far, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def local_rounds(folder: Path, images: Path, few: Path) -> list[str]:
    """A row a round: the bound, the steady state, the ratio."""
    lines, ratios = ["| round | bound, images/s | steady, images/s | ratio | whole process, s |", "|---|---|---|---|---|"], []
    after = bound(few)
    for number in range(ROUNDS):
        before = after
        run = ingest(str(images), str(folder / f"root-{number}"))
        after = bound(few)
        ratios.append(run.steady / ((before + after) / 2))
        lines.append(f"| {number + 1} | {before:.0f}, {after:.0f} | {run.steady:.0f} | {ratios[-1]:.2f} | {run.seconds:.1f} |")
    return [*lines, f"median ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]


def s3_rounds(folder: Path, images: Path, few: Path) -> list[str]:
    """The same with pictures and root on an S3 server, and the share of the processor time that it took."""
    lines = ["| round | bound, images/s | steady, images/s | server's share | ratio of the rest |", "|---|---|---|---|---|"]
    ratios = []
    with s3_server.started(folder / "s3") as server:
        os.environ |= server.environment
        server.bucket("fruits")
        for path in images.rglob("*.jpg"):
            server.put_beside("fruits", [f"images/{path.relative_to(images)}"], path.read_bytes())
        after = bound(few)
        for number in range(ROUNDS):
            before, used = after, processor_seconds(server.pid)
            run = ingest("s3://fruits/images", f"s3://fruits/root-{number}")
            share = (processor_seconds(server.pid) - used) / (run.seconds * (os.cpu_count() or 1))
            after = bound(few)
            ratios.append(run.steady / (1 - share) / ((before + after) / 2))
            lines.append(f"| {number + 1} | {before:.0f}, {after:.0f} | {run.steady:.0f} | {share:.1%} | {ratios[-1]:.2f} |")
    return [*lines, f"median ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]


def main() -> None:
    parser = argparse.ArgumentParser(description="The stream against the bound.")
    parser.add_argument("--images", type=int, default=8_000, help="pictures to ingest (default: %(default)s)")
    parser.add_argument("--where", choices=("local", "s3"), nargs="*", default=["local"])
    given = parser.parse_args()
    least = 2 * AT_ONCE * IMAGES_PER_CORE * (os.cpu_count() or 1)
    if given.images < least:
        parser.error(f"--images {given.images}: at least {least}, so that there are commits after those that wait for the start")
    with tempfile.TemporaryDirectory(prefix="fruitpipe-benchmark-") as name:
        folder = Path(name)
        source, _ = compare.photographs(features.PHOTOGRAPHS, folder / "drawn")
        images = compare.pictures(folder / "images", given.images, source)
        few = compare.pictures(folder / "few", BOUND_IMAGES, source)
        for where in given.where:
            rounds = local_rounds if where == "local" else s3_rounds
            print(f"{where}", *rounds(folder, images, few), sep="\n", flush=True)


if __name__ == "__main__":
    main()
