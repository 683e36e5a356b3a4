"""Prints and escapes text for people: lines on a terminal or in a log, cells of a table, words in a page.

Anybody who uploads an image chooses its name, and a name may hold line breaks, commands of a terminal, marks that turn the
direction of writing, or a spreadsheet's formula. All output goes through here, and ruff forbids `print` elsewhere. Escapes are
JSON's, which an erasure's search for names reads, too.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, TextIO

COLOUR = re.compile(r"\x1b\[[0-9;]*m|↳")
UNEVEN_BLANKS = re.compile(r"^\s|\s$|\s\s")
FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")  # noqa: RUF001 - what spreadsheets take for the beginning of one


def say(*lines: object, to: TextIO | None = None, end: str = "\n") -> None:
    """Prints each line, as `plain`, at once; on stdout unless `to` is given."""
    stream = to or sys.stdout
    for line in lines:
        _write(plain(str(line)), stream, end)


def say_cells(*cells: str) -> None:
    """Prints names and other texts on stdout as one line, with tabs between, for a program to read; each as `quoted`."""
    _write("\t".join(map(quoted, cells)), sys.stdout, "\n")


def one_line(text: str) -> str:
    """What a library says on several lines, in colours, as one without."""
    return " ".join(COLOUR.sub(" ", text).split())


def plain(text: str) -> str:
    r"""`text` as one line that commands nothing: what cannot be printed, line breaks too, as ``\n`` or ``\u202e``.

    JSON stays the same JSON.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else _escaped(one) for one in text)


def quoted(name: str) -> str:
    r"""A name as it is where it can be printed and read; else as a JSON string: ``a<line break>b`` → ``"a\nb"``.

    Blanks at an end, or two in a row, could not be seen. `unquoted` gives the name back.
    """
    is_readable = name.isprintable() and not UNEVEN_BLANKS.search(name) and not name.startswith('"')
    return name if is_readable else to_json(name)


def unquoted(text: str) -> str:
    """The name that `quoted` made `text` of. Raises ValueError where it begins with a quote and is no JSON string."""
    if not text.startswith('"'):
        return text
    name = json.loads(text)
    assert isinstance(name, str)
    return name


def cell(text: str) -> str:
    """`quoted`, for a CSV file: a spreadsheet takes it for text, and not for a formula (OWASP, CSV injection)."""
    shown = quoted(text)
    return f"'{shown}" if FORMULA.match(shown) else shown


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that keeps letters of all languages, and escapes what cannot be printed. What JSON lacks becomes text."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return "\n".join(map(plain, text.split("\n")))


def _escaped(one: str) -> str:
    escaped = json.dumps(one)[1:-1]
    return escaped if escaped != one else f"\\u{ord(one):04x}"  # JSON lets DEL stand


def _write(line: str, stream: TextIO, end: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, end=end, flush=True)
