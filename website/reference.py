"""The page of all commands, flags and settings, made from the command line and the settings themselves.

The jobs' flags come from `fruitpipe.settings`, those of the other commands from typer.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from fruitpipe.cli.commands import app
from fruitpipe.settings import JobSettings

HEAD = """# Commands and settings

Made from the code. A flag's variable sets it from the environment; where both are given, the flag counts. What has to be given
says **required**.
"""
COLUMNS = "| flag | takes | default | what it does |\n|---|---|---|---|"
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}  # of pydantic's bounds
PAGE = re.compile(r"docs/([\w-]+\.md)")


@dataclass(frozen=True)
class Flag:
    """A flag or an argument of a command, as a row of its table."""

    names: tuple[str, ...]
    takes: str
    default: str
    text: str
    variable: str | None = None

    def row(self) -> str:
        """The row in Markdown."""
        variable = f"<br>`{self.variable}`" if self.variable else ""
        names = ", ".join(f"`{name}`" for name in self.names) + variable
        cells = (names, self.takes, self.default, PAGE.sub(r"[\g<0>](\1)", self.text))
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def page() -> str:
    """The whole page, in Markdown."""
    return "\n\n".join([HEAD.rstrip(), *(_section(name, command) for name, command in commands())]) + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Each command by its name, such as ``model build``, in the order of `fruitpipe --help`."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        yield from ((f"{name} {inner}", found) for inner, found in below.items()) if below else [(name, command)]


def _section(name: str, command: Any) -> str:
    settings = {kind.model_config["cli_prog_name"]: kind for kind in JobSettings.__subclasses__()}.get(f"fruitpipe {name}")
    flags = _of_settings(settings) if settings else [_of_parameter(given) for given in command.params]
    rows = "\n".join(flag.row() for flag in flags)
    return f"## fruitpipe {name}\n\n{command.help}\n\n{COLUMNS}\n{rows}"


def _of_settings(settings: type[JobSettings]) -> list[Flag]:
    return [_of_field(name, field) for name, field in settings.model_fields.items()]


def _of_field(name: str, field: FieldInfo) -> Flag:
    flag = f"--{name.replace('_', '-')}"
    names = (flag, f"--no-{flag[2:]}") if field.annotation is bool else (flag,)
    bounds = [f"{SIGNS[name]} {getattr(bound, name)}" for bound in field.metadata for name in SIGNS if hasattr(bound, name)]
    default = "**required**" if field.is_required() else _default(field.default)
    takes = ", ".join([_kind(field.annotation), *bounds])
    return Flag(names, takes, default, field.description or "", f"FRUITPIPE_{name.upper()}")


def _of_parameter(given: Any) -> Flag:
    names = (*given.opts, *given.secondary_opts) if given.param_type_name == "option" else (given.metavar,)
    bounds = [f"{sign} {bound}" for sign, bound in (("≥", given.min), ("≤", given.max)) if bound is not None]
    takes = ", ".join([_kind(given.type_descriptor.annotation), *bounds])
    return Flag(names, takes, "**required**" if given.required else _default(given.default), given.help or "", given.envvar)


def _kind(annotation: Any) -> str:
    """What a flag takes, in words: its choices, or the kind of its value; empty for one that is given alone."""
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    kind = kinds[0]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(f"`{choice.value}`" for choice in kind)
    return {bool: "", int: "whole number", float: "number"}.get(kind, "text")


def _default(value: Any) -> str:
    if value is None or value is False or value == "":
        return ""
    return "yes" if value is True else f"`{value}`"
