"""No text that an object's name decides reaches a terminal, a table or a page unescaped; and names come back as they were."""

from __future__ import annotations

import io
import json

import pytest

from fruitpipe import output

ODD = {
    "line\nbreak.jpg": r"line\nbreak.jpg",
    "return\r.jpg": r"return\r.jpg",
    "\x1b[2J\x1b]8;;http://x\x07link.jpg": r"\u001b[2J\u001b]8;;http://x\u0007link.jpg",
    "delete\x7f.jpg": r"delete\u007f.jpg",
    "c1\x9b31m.jpg": r"c1\u009b31m.jpg",
    "gpj.\u202efdp.exe": r"gpj.\u202efdp.exe",
    "\u2066isolate\u2069": r"\u2066isolate\u2069",
    "zero\u200bwidth": r"zero\u200bwidth",
    "line\u2028separator": r"line\u2028separator",
    "next\x85line": r"next\u0085line",
    "no\u00a0break": r"no\u00a0break",
    "tag\U000e0041": r"tag\udb40\udc41",
    "half\ud800": r"half\ud800",
}
READABLE = ["a.jpg", "photo [copy].jpg", "[/] [bold]x[/bold]", "Crème brûlée", "🍓 苹果", "a,b;c", "it's", "back\\slash", ""]


@pytest.mark.parametrize(("name", "shown"), ODD.items())
def test_what_cannot_be_printed_is_shown_as_an_escape_of_json(name, shown):
    assert output.plain(name) == shown
    assert output.quoted(name) == f'"{shown}"'


@pytest.mark.parametrize("name", READABLE)
def test_a_readable_name_stays_as_it_is(name):
    assert output.plain(name) == output.quoted(name) == name


@pytest.mark.parametrize("name", [*ODD, *READABLE, '"quoted"', " blank", "blank ", "two  blanks", "back\\slash\n", r"\u202e"])
def test_a_quoted_name_comes_back_and_no_other_name_looks_like_it(name):
    assert output.unquoted(output.quoted(name)) == name
    others = {output.quoted(other) for other in (*ODD, *READABLE) if other != name}
    assert output.quoted(name) not in others


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠a"])  # noqa: RUF001
def test_a_spreadsheet_takes_no_cell_for_a_formula(name):
    assert output.cell(name)[0] in "'\""


def test_json_stays_the_same_json():
    value = {name: [name] for name in (*ODD, *READABLE) if name != "half\ud800"}
    for indent in (None, 2):
        text = output.to_json(value, indent=indent)
        assert json.loads(text) == value
        assert all(line.isprintable() for line in text.split("\n"))


def test_each_thing_said_is_one_line_whatever_the_stream_can_write():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output.say("é\n\x1b[0m", "second", to=stream)
    stream.seek(0)
    assert stream.read() == "\\xe9\\n\\u001b[0m\nsecond\n"


def test_cells_of_a_pipe_are_as_many_as_were_said(capsys):
    output.say_cells("a\tb\nc", "Kiwi")
    assert capsys.readouterr().out == '"a\\tb\\nc"\tKiwi\n'


def test_what_a_library_says_on_coloured_lines_is_told_on_one():
    assert output.one_line("Generic S3 error\n  \x1b[31m↳\x1b[0m HTTP error") == "Generic S3 error HTTP error"
