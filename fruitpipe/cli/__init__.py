"""`fruitpipe …`: a module for each group of `fruitpipe --help`: jobs and `run`, `look`, `identify`, `app` and
`publish`, `repair`, `gdpr`, `model`.

Each command imports what it needs when it runs, so that `fruitpipe --help` answers at once. This module imports nothing: a
process that a command starts imports it again, with the script of the command.

In: a command line. Out: what was asked for, and an exit code. Imports: all.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fruitpipe.errors import FruitpipeError


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 wrong usage; never a traceback for what a user can fix."""
    from fruitpipe.cli.commands import app
    from fruitpipe.errors import FruitpipeError, WrongUsage

    try:
        app(arguments)
    except WrongUsage as error:
        sys.exit(_refused(error, 2))
    except FruitpipeError as error:
        sys.exit(_refused(error, 1))


def _refused(error: FruitpipeError, code: int) -> int:
    from fruitpipe.output import say

    say(f"error: {error}", to=sys.stderr)
    return code
