"""Unpacks compressed files whole, up to a bound: gzip, bzip2, xz, Zstandard, LZ4 and Snappy, told by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa

MAX_UNPACKED_BYTES = 2_000_000_000
CHUNK_BYTES = 16_000_000  # unpacked at a time
SNAPPY = b"\xff\x06\x00\x00sNaPpY"


class NotReadable(Exception):
    """A file of a known format is cut or damaged, or unpacks to too many bytes."""


def unpacker(body: bytes) -> Callable[[bytes], bytes] | None:
    """What unpacks a compressed file; None for any other file. It raises NotReadable above MAX_UNPACKED_BYTES."""
    return next((unpack for magic, unpack in PACKED.items() if body.startswith(magic)), None)


def bounded(packed: Any) -> bytes:
    """All that a stream unpacks to. Raises NotReadable above MAX_UNPACKED_BYTES: the certificate must not call it searched."""
    body = io.BytesIO()
    while chunk := packed.read(CHUNK_BYTES):
        body.write(chunk)
        if body.tell() > MAX_UNPACKED_BYTES:
            raise NotReadable(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes, more than is looked at")
    return body.getvalue()


def _snappy(body: bytes) -> bytes:
    """Snappy's framing format: chunks of a type, three bytes of length, a checksum and the data."""
    out, at = io.BytesIO(), len(SNAPPY)
    while at < len(body):
        kind, length = body[at], int.from_bytes(body[at + 1 : at + 4], "little")
        chunk, at = body[at + 8 : at + 4 + length], at + 4 + length
        if kind == 0:
            out.write(pa.decompress(chunk, _varint(chunk), "snappy", asbytes=True))
        elif kind == 1:
            out.write(chunk)
        if out.tell() > MAX_UNPACKED_BYTES:
            break
    out.seek(0)
    return bounded(out)


def _varint(data: bytes) -> int:
    value = 0
    for place, byte in enumerate(data[:5]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            break
    return value


def _with_arrow(codec: Literal["zstd", "lz4"]) -> Callable[[bytes], bytes]:
    return lambda body: bounded(pa.CompressedInputStream(pa.BufferReader(body), codec))


PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda body: bounded(gzip.GzipFile(fileobj=io.BytesIO(body))),
    b"BZh": lambda body: bounded(bz2.BZ2File(io.BytesIO(body))),
    b"\xfd7zXZ\x00": lambda body: bounded(lzma.LZMAFile(io.BytesIO(body))),  # noqa: SIM115 - it closes nothing
    b"\x28\xb5\x2f\xfd": _with_arrow("zstd"),
    b"\x04\x22\x4d\x18": _with_arrow("lz4"),
    SNAPPY: _snappy,
}
