"""AVIF and HEIC, as phones write them: pictures in boxes, of which the first says by its brands what the others hold.

`codecs` says what decodes them. Sources: ISO 14496-12 (boxes), ISO 23008-12 (HEIF), AVIF 1.1.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

AVIF, HEIC = "AVIF", "HEIC"
PICTURES = {AVIF, HEIC}
# By the name of what a file holds: the brands by which one tells.
BRANDS = {
    AVIF: {b"avif", b"avis"},
    HEIC: {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"},
    "HEIF with JPEG 2000": {b"j2ki", b"j2is"},
    "HEIF with VVC": {b"vvic", b"vvis"},
    "CR3 (Canon raw)": {b"crx "},
    "QuickTime video": {b"qt  "},
}
ANY_CODEC = {b"mif1", b"msf1"}
QUICKTIME = {b"moov", b"mdat", b"wide"}  # what older videos begin with
LONGEST_BRANDS = 4096
# What may follow the picture; other bytes behind it are not the file's any more, as behind a JPEG's end.
BEHIND = {b"mdat", b"free", b"skip", b"moov", b"uuid", b"meta", b"mpvd", b"sefd", b"wide", b"udta"}
LONGEST_HEADER_BYTES = 16  # of a box, where its size takes eight bytes
SHORTEST_BYTES = 16  # of the box with the brands


def begins(body: bytes) -> bool:
    """Whether so few bytes are the beginning of such a file and no more."""
    return 4 < len(body) < SHORTEST_BYTES and b"ftyp".startswith(body[4:8])  # noqa: PLR2004 - a box's size comes before its name


def kind(body: bytes) -> str | None:
    """The name of what a file holds that begins with a box; None for any other file."""
    if body[4:8] == b"ftyp":
        return _brand(body)
    return "QuickTime video" if body[4:8] in QUICKTIME else None


def is_cut(body: bytes) -> bool:
    """Whether a box ends behind the last byte, or the box with the pixels is not there at all."""
    found: set[bytes] = set()
    for name, begin, end in _boxes(body):
        if {b"meta", b"mdat"} <= found and name not in BEHIND:
            return False
        if end > len(body):
            return True
        found.add(name)
        found |= {b"mdat"} if name == b"meta" and b"idat" in body[begin:end] else set()
    return not {b"mdat"} <= found


def _brand(body: bytes) -> str:
    """The first brand that is known, the file's major one before those that it is compatible with."""
    end = min(int.from_bytes(body[:4]), LONGEST_BRANDS)
    brands = [body[8:12], *(body[place : place + 4] for place in range(16, end, 4))]
    specific = [brand for brand in brands if brand not in ANY_CODEC]
    named = (name for brand in (specific or brands) for name, known in BRANDS.items() if brand in known)
    return next(named, HEIC if len(specific) < len(brands) else "MP4 video")


def _boxes(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of each box; the end may lie behind the last byte. A beginning of a box has no name."""
    place = 0
    while place < len(body):
        if len(body) - place < LONGEST_HEADER_BYTES and len(body) - place != int.from_bytes(body[place : place + 4]):
            yield b"", place, len(body) + 1
            return
        size, name = struct.unpack_from(">I4s", body, place)
        if size == 1:
            (size,) = struct.unpack_from(">Q", body, place + 8)
        end = place + size if size else len(body)
        yield name, place, end
        place = max(end, place + 8)
