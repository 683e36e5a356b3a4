"""What commands take that have little to do: what they import, more than anything else. Beside another commit, in one run.

    python benchmarks/start.py [--before COMMIT] [--rounds 20]

The root has 1,000 drawn images. The commits take turns, each from a copy of its files, on the Python that runs this.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.process import Times, times

CHECKOUT = Path(__file__).parents[1]
PYTHON = (sys.executable, "-P", "-c")  # -P: the working folder, most likely a checkout, is not looked at for modules
COMMAND = "from fruitpipe.cli import main; main()"
FLAGS = {"ingest": ("--once", "--images"), "doctor": ("--images",)}
COMMANDS = ("status", "errors", "doctor", "nothing new", "first image")


class Build(NamedTuple):
    """The files of a commit, and the folder of its roots."""

    commit: str
    files: Path
    roots: Path

    def run(self, command: str, images: Path, root: str = "root") -> Times:
        """Runs a command of fruitpipe."""
        flags = (*FLAGS[command], str(images)) if command in FLAGS else ()
        asked = [*PYTHON, COMMAND, command, "--root", str(self.roots / root), *flags]
        return times(asked, PYTHONPATH=str(self.files), PYTHONPYCACHEPREFIX=f"{self.files}.pyc", PYTHONDONTWRITEBYTECODE="")

    def measured(self, command: str, folder: Path, round_: int) -> Times:
        """Runs one of COMMANDS."""
        if command == "first image":  # and a table's first commit
            return self.run("ingest", folder / "one", f"root-{round_}")
        return self.run("ingest" if command == "nothing new" else command, folder / "images")


def build(commit: str, folder: Path) -> Build:
    """Lays the files of a commit into `folder`."""
    files = folder / commit
    files.mkdir()
    packed = subprocess.run(["git", "-C", CHECKOUT, "archive", commit], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", files], input=packed, check=True)
    return Build(commit, files, folder / f"roots-{commit}")


def draw(folder: Path) -> None:
    """Draws 1,000 images, and one."""
    for images, labels, number in (("images", 10, 100), ("one", 1, 1)):
        flags = ("--labels", str(labels), "--images-per-label", str(number))
        times([sys.executable, "-c", COMMAND, "sample", str(folder / images), *flags])


def measured(builds: list[Build], folder: Path, rounds: int) -> dict[tuple[str, str], list[Times]]:
    """What each of COMMANDS took, by command and commit; a round before the others reads files from the disk and compiles."""
    for one in builds:
        one.run("ingest", folder / "images")
        one.run("refit", folder)
    taken: dict[tuple[str, str], list[Times]] = defaultdict(list)
    for round_, command, one in itertools.product(range(rounds + 1), COMMANDS, builds):
        taken[command, one.commit].append(one.measured(command, folder, round_))
    return {key: took[1:] for key, took in taken.items()}


def main() -> None:
    """Prints a line a command and commit: medians by the clock and of processors, with the ratio to the first commit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", default="HEAD~1")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name))
        builds = [build(commit, Path(name)) for commit in (given.before, "HEAD")]
        taken = measured(builds, Path(name), given.rounds)
    for (command, commit), took_all in taken.items():
        clock, processor = (statistics.median(values) for values in zip(*took_all, strict=True))
        before = statistics.median(took.processor_seconds for took in taken[command, given.before])
        print(f"{command}, {commit}: {clock:.2f} s, {processor:.2f} s of processors, {processor / before:.2f} times", flush=True)


if __name__ == "__main__":
    main()
