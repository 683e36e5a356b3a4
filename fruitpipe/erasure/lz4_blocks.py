"""Unpacks what Spark writes to its working files: blocks of LZ4, framed as Java's LZ4BlockOutputStream does it.

A block is the word LZ4Block, a byte for the method, three little-endian integers (the packed length, the length, a checksum), and
the packed bytes. A stream ends with an empty block, and a file of a shuffle is one stream behind the other. A broadcast is one
stream that is cut into files, its pieces, wherever 4 MB are full (`spark.broadcast.blockSize`).
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

MAGIC = b"LZ4Block"
HEADER = struct.Struct("<8sBIII")
METHOD, STORED, PACKED = 0xF0, 0x10, 0x20  # the other half of the byte is the level
LONGEST = 1 << 25  # bytes of a block, as Java's reader has it
PIECE = re.compile(r"(.*/)[^/]+/(broadcast_\d+)_piece(\d+)")  # Spark spreads files over subfolders by a hash of their names


def streams(files: Iterable[str]) -> list[list[str]]:
    """The files that hold a stream between them, in its order: pieces of a broadcast that follow each other; others alone.

    Spark writes to disk what memory has no room for, so that some pieces of a broadcast may lie there, and others not.
    """
    alone, pieces = list[list[str]](), dict[tuple[str, str], dict[int, str]]()
    for file in files:
        if match := PIECE.fullmatch(file):
            pieces.setdefault((match[1], match[2]), {})[int(match[3])] = file
        else:
            alone.append([file])
    return [*alone, *itertools.chain.from_iterable(_runs(numbered) for numbered in pieces.values())]


def _runs(numbered: Mapping[int, str]) -> Iterator[list[str]]:
    """The files by runs of numbers that follow each other."""
    for _, run in itertools.groupby(enumerate(sorted(numbered)), lambda place: place[1] - place[0]):
        yield [numbered[number] for _, number in run]


def unpacked(body: bytes) -> tuple[bytes, bool]:
    """All blocks of a stream behind one another, and whether each of them could be read: one that was cut could not."""
    codec, parts, is_whole, end = pa.Codec("lz4_raw"), list[bytes](), True, 0
    while (at := body.find(MAGIC, end)) >= 0:
        part, after = _block(body, at, codec)
        is_whole = is_whole and part is not None and at == end
        parts.append(part or b"")
        end = after
    return b"".join(parts), is_whole and end == len(body)


def _block(body: bytes, at: int, codec: pa.Codec) -> tuple[bytes | None, int]:
    """The bytes of the block at a place, None where they cannot be read, and where to go on."""
    begins = at + HEADER.size
    if begins > len(body):
        return None, len(body)
    _, token, packed, length, _ = HEADER.unpack_from(body, at)
    within = body[begins : begins + packed]
    if len(within) < packed or length > LONGEST or token & METHOD not in (STORED, PACKED):
        return None, begins
    if token & METHOD == STORED or not length:
        return within, begins + packed
    try:
        return codec.decompress(within, length, asbytes=True), begins + packed
    except (OSError, ValueError):
        return None, begins
