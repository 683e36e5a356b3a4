"""What the bytes of a picture's file say without being decoded: its format, and whether the file is whole.

Pillow decodes what it gets; a file that was cut short it may fill up, or take for whole. Standard library only. Sources: the
specifications of JPEG (ITU T.81, annex B), PNG (W3C), GIF89a, BMP, RIFF and TIFF 6.0.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
# Any marker but the restarts, the stuffed zero and the fill bytes that stand among compressed pixels.
JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
JPEG_END, JPEG_SCAN = 0xD9, 0xDA
GIF_END, GIF_FRAME, GIF_EXTENSION = 0x3B, 0x2C, 0x21
TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of a number of each type
TIFF_UNSIGNED = {3: "H", 4: "I"}
TIFF_INLINE_BYTES = 4  # a value as short as this stands where a longer one's place would
TIFF_PIXELS = {273: 279, 324: 325}  # strips, tiles: where each begins, how many bytes it has
# Known by their first bytes, and not taken. A person who sees the name of the format knows what to do.
FOREIGN = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"8BPS": "PSD",
    b"\x1f\x8b": "gzip",
    b"\x00\x00\x00\x0cJXL": "JPEG XL",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\x00\x00\x01\x00": "ICO",
    b"II+\x00": "BigTIFF",
    b"MM\x00+": "BigTIFF",
    b"%!PS": "PostScript",
}
SIGNATURES = (JPEG, PNG, b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")


def foreign_format(body: bytes) -> str | None:
    """The name of a format that is known and not taken."""
    if body[4:8] == b"ftyp":
        return "HEIC or AVIF"
    if b"<svg" in body[:1024].lower() and not body.startswith(SIGNATURES):  # a JPEG's metadata may hold one, too
        return "SVG"
    return next((name for magic, name in FOREIGN.items() if body.startswith(magic)), None)


def is_cut(body: bytes) -> bool:
    """Whether the file ends before its format says that it does."""
    try:
        return next((cut(body) for magic, cut in CUTS.items() if body.startswith(magic)), False)
    except (struct.error, IndexError, OverflowError):  # a field lies behind the last byte
        return True


def jpeg_scans(body: bytes) -> tuple[int, int | None]:
    """How many scans the first picture of a JPEG has, and where its end marker begins; thumbnails have their own."""
    place, scans = 2, 0
    while found := JPEG_MARKER.search(body, place):
        marker, place = body[found.end() - 1], found.end()
        if marker == JPEG_END:
            return scans, found.start()
        scans += marker == JPEG_SCAN
        place += max(int.from_bytes(body[place : place + 2], "big"), 2)
    return scans, None


def _png_chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of each chunk's name and data, up to IEND. Raises struct.error where the bytes end before it."""
    place, kind = len(PNG), b""
    while kind != b"IEND":
        length, kind, begin = *struct.unpack_from(">I4s", body, place), place + 4
        place = begin + 4 + length + 4
        struct.unpack_from(">I", body, place - 4)
        yield kind, begin, place - 4


def checksums_hold(body: bytes) -> bool:
    """Pillow checks the sums of all chunks but those with the pixels."""
    chunks = ((begin, end) for kind, begin, end in _png_chunks(body) if kind == b"IDAT")
    return all(zlib.crc32(memoryview(body)[begin:end]) == int.from_bytes(body[end : end + 4], "big") for begin, end in chunks)


def _gif_is_cut(body: bytes) -> bool:
    place = 13 + _gif_palette_bytes(body[10])
    while (block := body[place]) != GIF_END:
        if block == GIF_FRAME:
            place += 11 + _gif_palette_bytes(body[place + 9])
        else:
            place += 2 if block == GIF_EXTENSION else 1
        while block in (GIF_FRAME, GIF_EXTENSION) and (length := body[place]):
            place += 1 + length
        place += block in (GIF_FRAME, GIF_EXTENSION)
    return False


def _gif_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _tiff_is_cut(body: bytes) -> bool:
    """Whether a field or a strip or a tile of the first picture lies behind the last byte."""
    order, runs = "<" if body[:1] == b"I" else ">", {}
    (directory,) = struct.unpack_from(order + "I", body, 4)
    (entries,) = struct.unpack_from(order + "H", body, directory)
    for place in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count, value = struct.unpack_from(order + "HHII", body, place)
        size = TIFF_BYTES.get(kind, 0) * count
        start = value if size > TIFF_INLINE_BYTES else place + 8
        if start + size > len(body):
            return True
        if kind in TIFF_UNSIGNED and tag in (*TIFF_PIXELS, *TIFF_PIXELS.values()):
            runs[tag] = struct.unpack_from(f"{order}{count}{TIFF_UNSIGNED[kind]}", body, start)
    ends = [at + size for a, b in TIFF_PIXELS.items() for at, size in zip(runs.get(a, ()), runs.get(b, ()), strict=False)]
    return max(ends, default=0) > len(body)


CUTS = {
    JPEG: lambda body: jpeg_scans(body)[1] is None,
    PNG: lambda body: not list(_png_chunks(body)),
    b"RIFF": lambda body: int.from_bytes(body[4:8], "little") + 8 > len(body),
    b"BM": lambda body: int.from_bytes(body[2:6], "little") > len(body),
    b"GIF8": _gif_is_cut,
    b"II*\0": _tiff_is_cut,
    b"MM\0*": _tiff_is_cut,
}
