"""How a job starts and ends: settings in, exit code out, and never a traceback for what a user can fix."""

from __future__ import annotations

import re
import signal
import sys
from argparse import Action, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import CliApp, CliSettingsSource

from fruitpipe import regions
from fruitpipe.errors import FruitpipeError, WrongUsage
from fruitpipe.objects import encryption
from fruitpipe.output import say
from fruitpipe.settings import JobSettings

S = TypeVar("S", bound=JobSettings)
REQUIRED = "(required)"  # so pydantic-settings ends the help of a flag without a default
NO_DEFAULT = re.compile(r" \(default: (?:None|False)?\)$")  # and so that of one whose default says nothing


class Help(RawDescriptionHelpFormatter):
    """The text of a job's `--help`, where required flags have no brackets.

    To argparse none is required, as each may come from the environment.
    """

    def add_usage(self, usage: str | None, actions: Iterable[Action], groups: Any, prefix: str | None = None) -> None:
        """Begins the text."""
        super().add_usage(usage, [_as_required(action) for action in actions], groups, prefix)

    def _get_help_string(self, action: Action) -> str:
        return NO_DEFAULT.sub("", action.help or "")


def _as_required(action: Action) -> Action:
    shown = copy(action)
    shown.required = (action.help or "").endswith(REQUIRED)
    return shown


def run(job: Callable[[S], None], settings_type: type[S], arguments: list[str] | None = None) -> int:
    """Runs `job` with the settings that the command line and the environment give, and returns its exit code.

    0: done. 1: failed, and one line on stderr says what and what to do. 2: wrong usage. 130: SIGTERM or Ctrl-C, but for those
    that a stream takes as the wish to end after the batch in progress.
    """
    try:
        source = CliSettingsSource[Any](settings_type, formatter_class=Help)
        given = sys.argv[1:] if arguments is None else arguments
        settings = CliApp.run(settings_type, cli_args=given, cli_settings_source=source)
        encryption.use(settings.kms_key)
        regions.check(settings.places, settings.regions)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the job has something to end cleanly, as Ctrl-C
        job(settings)
    except ValidationError as error:
        return _refused("; ".join(_usage(fault) for fault in error.errors()), 2)
    except WrongUsage as error:
        return _refused(error, 2)
    except FruitpipeError as error:
        return _refused(error, 1)
    except KeyboardInterrupt:
        return _refused("interrupted; start it again to go on", 130)
    return 0


def _refused(reason: object, code: int) -> int:
    say(f"error: {reason}", to=sys.stderr)
    return code


def _usage(fault: object) -> str:
    assert isinstance(fault, dict)
    flag = "--" + str(fault["loc"][0]).replace("_", "-") if fault["loc"] else "settings"
    given = "" if fault["type"] == "missing" else f" {fault['input']}"
    return f"{flag}{given}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
