"""Reads the chunks of a PNG: its end, its checksums, and texts that are too large to be decompressed. Source: W3C's PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZE = len(SIGNATURE) + 8  # offset of width and height
DEPTH = SIZE + 8  # offset of the bits a channel
UNPACKED_BYTES = 2**20  # of a text or a profile: Pillow's bound, beyond which it refuses the whole file
TEXT_BYTES = 2**25  # of all texts together; Pillow refuses a file with twice as much
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
PACKED = (b"zTXt", b"iTXt", b"iCCP")


def chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk up to IEND: its type, and the offsets where type and data begin and end. Raises struct.error for a cut file."""
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        length, kind, begin = *struct.unpack_from(">I4s", body, place), place + 4
        place = begin + 4 + length + 4
        struct.unpack_from(">I", body, place - 4)
        yield kind, begin, place - 4


def checksums_hold(body: bytes) -> bool:
    """Whether the checksums of the chunks with pixels are right. Pillow checks those of all others."""
    pixels = ((begin, end) for kind, begin, end in chunks(body) if kind == b"IDAT")
    return all(zlib.crc32(memoryview(body)[begin:end]) == int.from_bytes(body[end : end + 4]) for begin, end in pixels)


def without_large_texts(body: bytes) -> bytes:
    """The same picture, without texts and colour profiles so large that Pillow would refuse the whole file.

    Texts are not used, and a profile that decompresses to more than a megabyte counts as none. A cut file is returned as it is.
    """
    try:
        large = list(_large_texts(body))
    except struct.error:
        return body
    ends = [len(body), *(begin for begin, _ in reversed(large))]
    begins = [end for _, end in reversed(large)] + [0]
    return b"".join(body[begin:end] for begin, end in reversed(list(zip(begins, ends, strict=True)))) if large else body


def _large_texts(body: bytes) -> Iterator[tuple[int, int]]:
    """The offsets of chunks that are too large, or are texts beyond the bound of all texts together."""
    left = TEXT_BYTES
    for kind, begin, end in chunks(body):
        if kind not in TEXTS and kind not in PACKED:
            continue
        size = _unpacked_bytes(kind, body[begin + 4 : end])
        if (kind in PACKED and size > UNPACKED_BYTES) or (kind in TEXTS and size > left):
            yield begin - 4, end + 4
        elif kind in TEXTS:
            left -= size


def _unpacked_bytes(kind: bytes, data: bytes) -> int:
    """The decompressed size of a text or a profile in bytes, at most one more than the bound."""
    packed = _packed(kind, data)
    if packed is None:
        return len(data)
    unpacking = zlib.decompressobj()
    try:
        size = len(unpacking.decompress(packed, UNPACKED_BYTES))
        return size + bool(unpacking.unconsumed_tail)
    except zlib.error:  # Pillow takes one that does not decompress for empty
        return 0


def _packed(kind: bytes, data: bytes) -> bytes | None:
    """The compressed part of a chunk: behind the keyword, in iTXt behind two flags, a language and a translation too."""
    _, _, rest = data.partition(b"\0")
    if kind != b"iTXt":
        return rest[1:] if kind in PACKED else None
    return rest[2:].split(b"\0", 2)[-1] if rest[:1] not in (b"", b"\0") else None
