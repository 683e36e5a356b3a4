"""TIFFs of several pictures made by hand: uncompressed RGB, in a chain or below one another."""

import struct

import numpy as np


def directory(image, *more):
    """The fields of an RGB picture, as (tag, type, numbers) or (tag, type, bytes), and its pixels; `more` fields replace them."""
    width, height = image.size
    own = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [8, 8, 8]),
        (259, 3, [1]),
        (262, 3, [2]),
        (277, 3, [3]),
        (278, 4, [height]),
    ]
    fields = {tag: (kind, value) for tag, kind, value in [*own, *more]}
    return fields, np.asarray(image.convert("RGB")).tobytes()


def tiff(*chain, below=()):
    """A little-endian TIFF of the directories `chain`; those `below` hang on its first by SubIFDs."""
    body, links = bytearray(b"II*\0" + bytes(4)), [4]
    places = [_write(body, *picture) for picture in below]
    for number, (fields, pixels) in enumerate(chain):
        hung = {330: (4, places)} if places and not number else {}
        place = _write(body, {**fields, **hung}, pixels)
        struct.pack_into("<I", body, links[-1], place)
        (entries,) = struct.unpack_from("<H", body, place)
        links.append(place + 2 + 12 * entries)
    return bytes(body)


def _write(body, fields, pixels):
    """Appends pixels, long values and the directory; returns where the directory lies."""
    strip = len(body)
    body += pixels
    entries = b""
    for tag, (kind, value) in sorted({**fields, 273: (4, [strip]), 279: (4, [len(pixels)])}.items()):
        packed = value if isinstance(value, bytes) else struct.pack(f"<{len(value)}{ {1: 'B', 3: 'H', 4: 'I'}[kind] }", *value)
        where = packed.ljust(4, b"\0")
        if len(packed) > 4:
            where = struct.pack("<I", len(body))
            body += packed + bytes(len(packed) % 2)
        count = len(packed) // 8 if kind == 5 else len(value)
        entries += struct.pack("<HHI", tag, kind, count) + where
    place = len(body)
    body += struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    return place
