"""Reads the directories of a TIFF: whether it is cut, whether it is a camera's raw file, and which picture is the full one.

Sources: TIFF 6.0, Adobe's TIFF technical notes (NewSubfileType, SubIFDs) and DNG 1.7.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

SIGNATURES = (b"II*\0", b"MM\0*")
BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of a number of each type
UNSIGNED = {1: "B", 3: "H", 4: "I", 13: "I"}
INLINE_BYTES = 4  # up to this length a value is stored in place of its offset
PIXELS = {273: 279, 324: 325}  # strips, tiles: where each begins, how many bytes it has
TILE_WIDTH, TILE_HEIGHT = 322, 323
KIND, OLD_KIND, WIDTH, HEIGHT, MEANING, SUB_DIRECTORIES, DNG_VERSION = 254, 255, 256, 257, 262, 330, 50706
REDUCED, MASK = 1, 4  # bits of KIND: a smaller version of another picture, the transparency of one
OLD_REDUCED = 2  # a value of OLD_KIND
SENSOR = {32803, 34892}  # values of MEANING: a camera's raw data, as colour filter array or linear
MAKER = 271
RAW_OF_MAKERS = {b"NIKON": "NEF (Nikon raw)", b"SONY": "ARW (Sony raw)", b"PENTAX": "PEF (Pentax raw)", b"CANON": "Canon raw"}
CR2 = b"CR"  # behind the header of a Canon raw file
MOST_DIRECTORIES = 64  # that are read to find the full picture


@dataclass(frozen=True)
class Directory:
    """One picture of the file. place: offset of its directory. numbers: the first values of its numeric fields, by tag."""

    place: int
    numbers: dict[int, tuple[int, ...]] = field(default_factory=dict)
    maker: bytes = b""
    following: int = 0

    def number(self, tag: int) -> int:
        """The first number of a field; 0 where there is none."""
        return (self.numbers.get(tag) or (0,))[0]

    @property
    def is_reduced(self) -> bool:
        """Whether it is marked as a smaller version of another picture of the file."""
        return bool(self.number(KIND) & REDUCED) or self.number(OLD_KIND) == OLD_REDUCED

    @property
    def pixels(self) -> int:
        """The number of pixels of a full picture; 0 for a reduced one and a mask."""
        return 0 if self.is_reduced or self.number(KIND) & MASK else self.number(WIDTH) * self.number(HEIGHT)


def is_tiff(body: bytes) -> bool:
    """Whether the bytes begin with a TIFF's signature."""
    return body.startswith(SIGNATURES)


def raw_kind(body: bytes) -> str | None:
    """The name of a camera's raw format, whose full picture Pillow cannot decode; None for any other TIFF."""
    if body[8:10] == CR2:
        return "CR2 (Canon raw)"
    found = _directories_beside_a_reduced(body)
    if not any(directory.number(MEANING) in SENSOR for directory in found):
        return "DNG (camera raw)" if found and DNG_VERSION in found[0].numbers else None
    if DNG_VERSION in found[0].numbers:
        return "DNG (camera raw)"
    maker = found[0].maker.upper()
    return next((name for begin, name in RAW_OF_MAKERS.items() if maker.startswith(begin)), "camera raw")


def with_full_picture_first(body: bytes) -> bytes:
    """The same file, with the largest full picture as its first, where the first is a smaller version of another."""
    full = max(_directories_beside_a_reduced(body), key=lambda directory: directory.pixels, default=None)
    if full is None or not full.pixels:
        return body
    return body[:4] + struct.pack(_order(body) + "I", full.place) + body[8:]


def is_cut(body: bytes) -> bool:
    """Whether a field, a strip or a tile of the first picture lies behind the last byte."""
    order, runs = _order(body), {}
    (directory,) = struct.unpack_from(order + "I", body, 4)
    for tag, kind, count, start in _fields(body, directory):
        if start + BYTES.get(kind, 0) * count > len(body):
            return True
        if kind in UNSIGNED and tag in (*PIXELS, *PIXELS.values()):
            runs[tag] = struct.unpack_from(f"{order}{count}{UNSIGNED[kind]}", body, start)
    ends = [at + size for a, b in PIXELS.items() for at, size in zip(runs.get(a, ()), runs.get(b, ()), strict=False)]
    return max(ends, default=0) > len(body)


def pieces(body: bytes) -> int:
    """How many strips or tiles the first picture declares. Raises struct.error where the bytes end before."""
    (place,) = struct.unpack_from(_order(body) + "I", body, 4)
    fields = ((tag, count, start + BYTES.get(kind, 0) * count) for tag, kind, count, start in _fields(body, place))
    return max((count for tag, count, end in fields if tag in PIXELS and end <= len(body)), default=0)


def tile_pixels(body: bytes) -> int:
    """How many pixels a tile of the first picture has, be the picture smaller or not; 0 without tiles. Raises struct.error."""
    order = _order(body)
    (place,) = struct.unpack_from(order + "I", body, 4)
    sides = {tag: (kind, start) for tag, kind, count, start in _fields(body, place) if kind in UNSIGNED and count}
    width, height = (
        struct.unpack_from(order + UNSIGNED[sides[tag][0]], body, sides[tag][1])[0] if tag in sides else 0
        for tag in (TILE_WIDTH, TILE_HEIGHT)
    )
    return int(width) * int(height)


def _order(body: bytes) -> str:
    return "<" if body[:1] == b"I" else ">"


def _directories_beside_a_reduced(body: bytes) -> list[Directory]:
    """The directories of a file whose first picture is a reduced or a raw one; none for any other file, or a cut one."""
    walk = _walk(body)
    first = next(walk, None)
    if first is None or not (first.is_reduced or first.number(MEANING) in SENSOR):
        return []
    return [first, *islice(walk, MOST_DIRECTORIES - 1)]


def _walk(body: bytes) -> Iterator[Directory]:
    """The directories along the chain, and their subdirectories. One that is cut, or was read before, ends its branch."""
    waiting, seen = [int.from_bytes(body[4:8], "little" if body[:1] == b"I" else "big")], set()
    while waiting:
        place = waiting.pop(0)
        if not place or place in seen:
            continue
        seen.add(place)
        try:
            directory = _directory(body, place)
        except struct.error:
            continue
        yield directory
        waiting += [*directory.numbers.get(SUB_DIRECTORIES, ()), directory.following]


def _directory(body: bytes, place: int) -> Directory:
    order = _order(body)
    (entries,) = struct.unpack_from(order + "H", body, place)
    numbers, maker = {}, b""
    for tag, kind, count, start in _fields(body, place):
        if tag == MAKER:
            maker = body[start : start + min(count, 32)]
        elif kind in UNSIGNED:
            some = min(count, MOST_DIRECTORIES)
            if start + some * BYTES[kind] <= len(body):
                numbers[tag] = struct.unpack_from(f"{order}{some}{UNSIGNED[kind]}", body, start)
    (following,) = struct.unpack_from(order + "I", body, place + 2 + 12 * entries)
    return Directory(place, numbers, maker, following)


def _fields(body: bytes, directory: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count and the value's offset, of each field. Raises struct.error where the bytes end before."""
    order = _order(body)
    (entries,) = struct.unpack_from(order + "H", body, directory)
    for place in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count, value = struct.unpack_from(order + "HHII", body, place)
        yield tag, kind, count, value if BYTES.get(kind, 0) * count > INLINE_BYTES else place + 8
