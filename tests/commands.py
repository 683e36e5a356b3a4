"""Command lines of the docs, run in one process: they share the session, which costs more to start than they take."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fruitpipe import cli

CHECKOUT = Path(__file__).parents[1]
ANSWER = "ended: "


@dataclass(frozen=True)
class Ended:
    """What a command line ended with, and what it printed."""

    code: int
    stdout: str
    stderr: str


def of_page(name):
    """The blocks of commands of a page under docs/, by the word behind ```sh."""
    page = (CHECKOUT / "docs" / name).read_text()
    return {kind: body.splitlines() for kind, body in re.findall(r"```sh(?: (\w+))?\n(.*?)```", page, re.DOTALL)}


def run(line):
    """A command line in this process; returns its exit code, or 0 where the line says that it may fail."""
    words = shlex.split(line, comments=True)
    may_fail = words[-2:] == ["||", "true"]
    program, *arguments = words[:-2] if may_fail else words
    assert program == "fruitpipe", line
    code = called(*arguments)
    return 0 if may_fail else code


def called(*arguments):
    try:
        cli.main(list(arguments))
    except SystemExit as ended:
        return ended.code or 0
    raise AssertionError("the command line ends by itself")


def heard(line) -> Ended:
    """A command line in this process, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(line)
    return Ended(code, out.getvalue(), err.getvalue())


class Elsewhere:
    """Another process, with its own environment and its own session, that runs one command line after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._at = process, "its start"

    def run(self, line: str) -> Ended:
        """The command line there."""
        self.begin(line)
        return self.ended()

    def begin(self, line: str) -> None:
        """Has it run there, and does not wait for its end."""
        self._at = line
        self._process.stdin.write(f"{json.dumps(line)}\n")
        self._process.stdin.flush()

    def stop(self) -> Ended:
        """Sends SIGTERM to the one that runs."""
        self._process.terminate()
        return self.ended()

    def ended(self) -> Ended:
        """What became of the one that runs, when it has ended."""
        beside = ""  # what Java prints by itself
        for printed in self._process.stdout:
            if printed.startswith(ANSWER):
                ended = Ended(**json.loads(printed.removeprefix(ANSWER)))
                return replace(ended, stdout=beside + ended.stdout)
            beside += printed
        raise AssertionError(f"the process ended at {self._at}: {self._process.stderr.read()[-3000:]}")


@contextlib.contextmanager
def elsewhere(
    environment: Mapping[str, str], *, python: str | Path = sys.executable, cwd: Path = CHECKOUT
) -> Iterator[Elsewhere]:
    """Starts the process; at its end nothing must have complained beside the commands.

    python: its interpreter, which has its fruitpipe from the checkout only where it is started there.
    """
    command = [str(python), *(("-m", "tests.commands") if cwd == CHECKOUT else ("-P", __file__))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=cwd, env=environment, text=True, **pipes) as process:
        try:
            yield Elsewhere(process)
        except BaseException:
            process.kill()  # it may still be at a command
            raise
        _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")


if __name__ == "__main__":
    for given in sys.stdin:
        print(f"{ANSWER}{json.dumps(vars(heard(json.loads(given))))}", flush=True)
