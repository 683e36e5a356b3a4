"""Recognises formats by their first bytes, and finds out whether a file is cut.

Pillow may fill up a file that is cut, or take it for whole. Standard library only. Sources: the
specifications of GIF89a, BMP and RIFF; those of JPEG, PNG, TIFF and of AVIF and HEIC have a module each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fruitpipe.pictures import containers, jpeg, png, tiff

GIF, BMP, RIFF = b"GIF8", b"BM", b"RIFF"
GIF_END, GIF_FRAME, GIF_EXTENSION = 0x3B, 0x2C, 0x21
# Formats that are recognised but not supported, so that the message can name them.
FOREIGN = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"8BPS": "PSD",
    b"\x1f\x8b": "gzip",
    b"\x00\x00\x00\x0cJXL": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x01\x00": "ICO",
    b"II+\x00": "BigTIFF",
    b"MM\x00+": "BigTIFF",
    b"IIRO": "ORF (Olympus raw)",
    b"IIU\x00": "RW2 (Panasonic raw)",
    b"FUJIFILM": "RAF (Fujifilm raw)",
    b"%!PS": "PostScript",
}
SIGNATURES = (jpeg.SIGNATURE, png.SIGNATURE, GIF, RIFF, BMP, *tiff.SIGNATURES)
NEAR_BYTES = 4096  # within which a picture is searched for behind other bytes


def foreign_format(body: bytes) -> str | None:
    """The name of a format that is recognised but not supported; None for any other bytes."""
    if containers.begins(body):
        return None
    if kind := containers.kind(body):
        return None if kind in containers.PICTURES else kind
    if body.startswith(jpeg.SIGNATURE):
        return jpeg.foreign_kind(body)
    if tiff.is_tiff(body):
        return tiff.raw_kind(body)
    if b"<svg" in body[:1024].lower() and not body.startswith(SIGNATURES):  # a picture's metadata may hold one, too
        return "SVG"
    return next((name for magic, name in FOREIGN.items() if body.startswith(magic)), None)


def is_taken(body: bytes) -> bool:
    """Whether it begins like a picture of a format that is decoded."""
    return body.startswith(SIGNATURES) or containers.kind(body) in containers.PICTURES


def picture_behind(body: bytes) -> int | None:
    """The offset of a JPEG or PNG behind other bytes, within NEAR_BYTES; None without one."""
    places = [body.find(signature, 1, NEAR_BYTES) for signature in (jpeg.SIGNATURE, png.SIGNATURE)]
    return min((place for place in places if place > 0), default=None)


def is_cut(body: bytes) -> bool:
    """Whether the file ends before the end that its format defines."""
    try:
        if containers.kind(body):
            return containers.is_cut(body)
        return next((cut(body) for magic, cut in CUTS.items() if body.startswith(magic)), False)
    except (struct.error, IndexError, OverflowError):  # a field lies behind the last byte
        return True


def gif_blocks(body: bytes) -> Iterator[int]:
    """The offset of each block of data, up to the trailer. Raises IndexError where the bytes end before it."""
    place = 13 + _gif_palette_bytes(body[10])
    while (block := body[place]) != GIF_END:
        yield place
        if block == GIF_FRAME:
            place += 11 + _gif_palette_bytes(body[place + 9])
        else:
            place += 2 if block == GIF_EXTENSION else 1
        while block in (GIF_FRAME, GIF_EXTENSION) and (length := body[place]):
            yield place
            place += 1 + length
        place += block in (GIF_FRAME, GIF_EXTENSION)


def _gif_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_is_cut(body: bytes) -> bool:
    for _ in gif_blocks(body):
        pass
    return False


CUTS = {
    jpeg.SIGNATURE: lambda body: jpeg.scans(body)[1] is None,
    png.SIGNATURE: lambda body: not list(png.chunks(body)),
    RIFF: lambda body: int.from_bytes(body[4:8], "little") + 8 > len(body),
    BMP: lambda body: int.from_bytes(body[2:6], "little") > len(body),
    GIF: _gif_is_cut,
    **dict.fromkeys(tiff.SIGNATURES, tiff.is_cut),
}
