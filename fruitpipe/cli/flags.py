"""Flags that several commands share, and the decorator for commands that take their flags as one object."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

Root = Annotated[
    str, typer.Option("--root", envvar="FRUITPIPE_ROOT", help="URI under which the pipeline keeps everything it writes.")
]
Given = TypeVar("Given")


def taking(flags: type[Given]) -> Callable[[Callable[[Given], None]], Callable[..., None]]:
    """Decorates a command that takes its flags as one object: each field of that dataclass becomes a parameter for typer."""
    hints = get_type_hints(flags, include_extras=True)
    fields = [(field.name, field.default) for field in dataclasses.fields(flags)]  # type: ignore[arg-type]
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[name],
            default=inspect.Parameter.empty if default is dataclasses.MISSING else default,
        )
        for name, default in fields
    ]

    def decorate(command: Callable[[Given], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(flags(**given))

        run.__annotations__ = hints
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def check_region(uri: str) -> None:
    """Raises WrongRegion where a command would write to a bucket outside of the regions that are allowed."""
    from fruitpipe import objects, regions

    regions.check([objects.canonical(uri)], allowed_regions())


def allowed_regions() -> str:
    """The regions in which commands may write, with commas between, or any."""
    from fruitpipe import regions, settings

    return regions.parse(os.environ.get("FRUITPIPE_REGIONS") or settings.UNION)
