"""Reads the markers of a JPEG: which kind it is, how many scans it has, and where it ends. Source: ITU T.81, annex B."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\xff\xd8\xff"
# Any marker except the restarts, the stuffed zero and the fill bytes among compressed pixels.
MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
END, SCAN = 0xD9, 0xDA
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB}  # SOF0 to 3 by Huffman's code, 9 to 11 by the arithmetic one
LOSSLESS, ARITHMETIC = {0xC3, 0xCB}, {0xC9, 0xCA, 0xCB}
HIERARCHICAL = {0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE}
JPEG_LS = 0xF7
UNREADABLE_BITS = range(9, 17)  # a channel


class Frame(NamedTuple):
    """The header of a picture: its marker, bits a channel, height and width in pixels."""

    marker: int
    bits: int
    height: int
    width: int


NO_FRAME = Frame(0, 0, 0, 0)


def foreign_kind(body: bytes) -> str | None:
    """The name of a kind of JPEG that Pillow's libjpeg-turbo does not decode to 8 bits; None for one that it does."""
    marker, bits, _, _ = frame(body)
    if marker == JPEG_LS:
        return "JPEG-LS"
    if marker in HIERARCHICAL:
        return "hierarchical JPEG"
    if bits in UNREADABLE_BITS:
        return f"{bits}-bit lossless JPEG" if marker in LOSSLESS else f"{bits}-bit JPEG"
    return None


def is_arithmetic(body: bytes) -> bool:
    """Whether its coefficients are coded arithmetically, which libjpeg reads only where it has the whole file at once."""
    return frame(body).marker in ARITHMETIC


def frame(body: bytes) -> Frame:
    """The header of the first picture; NO_FRAME where none comes before the first scan, or before the bytes end."""
    for marker, place in _markers(body):
        if marker in FRAMES or marker in HIERARCHICAL or marker == JPEG_LS:
            is_whole = place + 7 <= len(body)
            return Frame(marker, *struct.unpack_from(">BHH", body, place + 2)) if is_whole else NO_FRAME
        if marker == SCAN:
            break
    return NO_FRAME


def scans(body: bytes) -> tuple[int, int | None]:
    """How many scans the first picture has, and the offset of its end marker, None without one. Thumbnails do not count."""
    count = 0
    for marker, place in _markers(body):
        if marker == END:
            return count, place - 2
        count += marker == SCAN
    return count, None


def _markers(body: bytes) -> Iterator[tuple[int, int]]:
    """Each marker of the first picture and where its segment begins, the end marker last."""
    place = 2
    while found := MARKER.search(body, place):
        marker, place = body[found.end() - 1], found.end()
        yield marker, place
        if marker == END:
            return
        place += max(int.from_bytes(body[place : place + 2]), 2)
