"""Reads a file with names of images to erase: a plain list, a spreadsheet's CSV, or JSON lines.

What a spreadsheet adds is removed: a byte-order mark, a heading, quotes, CRLF. A name itself is never changed or guessed.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlsplit

from fruitpipe import objects
from fruitpipe.errors import WrongUsage
from fruitpipe.output import say, unquoted

COLUMN = "path"  # as `fruitpipe errors --csv` and --json call it
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
VIRTUAL = re.compile(r"(?P<bucket>.+)\.s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
PATH_STYLE = re.compile(r"s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
ARN = re.compile(r"arn:aws[a-z-]*:s3:::(?P<key>.+)", re.DOTALL)
# What S3 takes behind the key of a GET: a version, how it was signed, how to answer. Anything else may be a part of the key.
PARAMETER = re.compile(r"versionId|x-id|X-Amz-[\w-]+|AWSAccessKeyId|Signature|Expires|response-[a-z-]+", re.IGNORECASE)
CUTS = "\t\r\n"  # a parser of addresses leaves them out


class Named(NamedTuple):
    """A name as it was given. where: the file and line, ``list.csv:3``; empty for an argument of the command."""

    uri: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.uri}" if self.where else self.uri


def read(path: str) -> list[Named]:
    """The names in a file: a line each, a JSON object a line, or the column `path` of a CSV. Raises WrongUsage, NotFound."""
    text = _decoded(path, objects.read(objects.canonical(path)))
    start = text.lstrip()[:1]
    if start == "{":
        return [Named(uri, f"{path}:{line}") for line, uri in _json_lines(path, text)]
    if delimiter := _delimiter(text):
        return [Named(uri, f"{path}:{line}") for line, uri in _column(path, text, delimiter)]
    _check_columns(path, text)
    named = [Named(_unquoted(line), f"{path}:{number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if named and is_heading(named[0].uri):
        say(f"{named[0]}: is taken for a heading")
        del named[0]
    return named


def is_heading(name: str) -> bool:
    """Whether the first line of a list is a heading and no image's name: it has no folder and no file extension."""
    return not re.search(r"[/\\:]|\.\w{1,5}$", name)


def canonical(name: str) -> str:
    """The canonical URI of a name: a path, a URI, an https address of S3 or an ARN. Raises WrongUsage."""
    if found := ARN.fullmatch(name):
        return objects.canonical(f"s3://{found['key']}")
    if not name.startswith(("https://", "http://")):
        return objects.canonical(name)
    try:
        address = urlsplit(name)
    except ValueError as error:  # brackets that are no IPv6, or letters that Unicode makes a slash
        raise WrongUsage(f"{name}: is no address ({error}); give s3://bucket/key") from error
    _check_whole(name, address)
    key = unquote_plus(address.path.removeprefix("/"))  # as S3 does it: there a plus sign is a blank, and %2B a plus sign
    if found := VIRTUAL.fullmatch(address.hostname or ""):
        return objects.canonical(f"s3://{found['bucket']}/{key}")
    if PATH_STYLE.fullmatch(address.hostname or ""):
        return objects.canonical(f"s3://{key}")
    raise WrongUsage(f"{name}: is no address of an object in S3; give s3://bucket/key")


def _check_whole(name: str, address: SplitResult) -> None:
    """Raises WrongUsage where a character that is not encoded ends the key too early: what is left may be another image's key."""
    has_query = "?" in name.partition("#")[0]
    parameters = [key for key, _ in parse_qsl(address.query, keep_blank_values=True)]
    is_known = bool(parameters) and all(map(PARAMETER.fullmatch, parameters))
    if "#" in name or (has_query and not is_known) or not set(CUTS).isdisjoint(name):
        raise WrongUsage(
            f"{name}: has a character that ends the key in an address; where it belongs to the key write %23 for #, %3F for ?, "
            "%09 for a tab, or give s3://bucket/key"
        )


def _decoded(path: str, body: bytes) -> str:
    is_utf16 = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # a spreadsheet's "Unicode text"
    try:
        return body.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise WrongUsage(f"{path}:{line}: is not UTF-8 text; save the list as UTF-8") from error


def _delimiter(text: str) -> str | None:
    """The delimiter of a CSV whose heading names the column `path`; None for another kind of file."""
    heading = text.partition("\n")[0]
    rows = {delimiter: _cells(heading, delimiter) for delimiter in ",;\t"}
    return next((delimiter for delimiter, row in rows.items() if COLUMN in map(_heading, row)), None)


def _check_columns(path: str, text: str) -> None:
    """Raises WrongUsage for a table whose heading names no column `path`: nobody can know which of its columns is meant.

    No program writes a blank behind a delimiter: such a comma is a name's, or a sentence's.
    """
    heading, _, rest = text.partition("\n")
    for delimiter in ",;\t":
        cells, first = _cells(heading, delimiter), _cells(rest.partition("\n")[0], delimiter)
        is_text = any(cell.startswith(" ") for cell in (*cells, *first))
        if len(cells) > 1 and len(cells) == len(first) and all(map(is_heading, cells)) and not is_text:
            raise WrongUsage(
                f"{path}:1: no column is called {COLUMN} ({', '.join(cells)}); give that name to the one with the images"
            )


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.removesuffix("\r")], delimiter=delimiter), [])


def _heading(cell: str) -> str:
    return cell.strip().lower()


def _column(path: str, text: str, delimiter: str) -> Iterator[tuple[int, str]]:
    """The line on which each row begins, and its name. A cell may hold line breaks, so a row may have several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        at = [_heading(cell) for cell in next(reader)].index(COLUMN)
        line = reader.line_num + 1
        for row in reader:
            if len(row) > at and row[at]:
                yield line, _printed(f"{path}:{line}", row[at])
            elif any(row):
                raise WrongUsage(f"{path}:{line}: has no {COLUMN}; give one in each row")
            line = reader.line_num + 1
    except csv.Error as error:
        raise WrongUsage(f"{path}:{reader.line_num}: is no row of a CSV file ({error}); correct it") from error


def _printed(where: str, cell: str) -> str:
    """The name in a cell, which `fruitpipe errors --csv` writes as JSON where it cannot be printed."""
    try:
        return unquoted(cell)
    except ValueError as error:
        raise WrongUsage(f"{where}: begins with a quote and is no JSON text ({error}); correct it") from error


def _json_lines(path: str, text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _json_name(f"{path}:{number}", line)


def _json_name(where: str, line: str) -> str:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise WrongUsage(f"{where}: is not JSON ({error}); give an object with the field {COLUMN} a line") from error
    name = found.get(COLUMN) if isinstance(found, dict) else found
    if not isinstance(name, str) or not name:
        raise WrongUsage(f"{where}: has no {COLUMN}; give an object with the field {COLUMN} a line")
    return name


def _unquoted(line: str) -> str:
    """A line of a list, without the quotes that a spreadsheet puts around a cell and within it."""
    line = line.removesuffix("\r")
    return next(csv.reader([line]))[0] if re.fullmatch(r'"(?:[^"]|"")*"', line) else line
