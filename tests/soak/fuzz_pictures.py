"""Pictures changed by structure and by byte, a great many: each gives a picture or the reason why not, in time, and nothing else.

    python tests/soak/fuzz_pictures.py --mutations 1000000

Small pictures of six formats, drawn by the tests, are changed as their format is built: a tag's type, a segment's length, a
chunk, a block, a directory. Worker processes decode them. What kills a worker, takes longer than the deadline or raises anything
else is told by its seed alone, with which `--first SEED --mutations 1` does it again. The model takes no part.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import os
import random
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT))

from PIL import Image  # noqa: E402

from fruitpipe.pictures import decoding, jpeg, png, tiff  # noqa: E402
from tests import encodings, odd_pictures, tiffs  # noqa: E402

AT_ONCE = 500  # mutations that a worker is handed
DEADLINE_SECONDS = 30.0
VALUES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
TAGS = (254, 255, 256, 257, 258, 259, 262, 273, 277, 279, 330, 339, 34675)  # that decide how a TIFF is decoded
REASONS = {"empty", "too-many-pixels", "not-an-image", "unsupported-format", "truncated", "too-slow"}


IMAGE = encodings.COLOUR.resize((24, 24))
PALETTE, DEEP, PROFILE, EXIF = IMAGE.quantize(9), Image.new("I;16", (24, 24), 700), odd_pictures._exchanging(), Image.Exif()
EXIF[0x0112] = 6
FRAMES = {"save_all": True, "append_images": [IMAGE.rotate(9)]}


def seeds() -> dict[str, bytes]:
    """Some twenty small pictures, by name."""
    return _jpegs() | _pngs_and_webps() | _others()


def _jpegs() -> dict[str, bytes]:
    encoded = encodings.encoded
    return {
        "jpeg": encoded(IMAGE, "JPEG", exif=EXIF),
        "jpeg with a profile": encoded(IMAGE, "JPEG", icc_profile=PROFILE),
        "progressive jpeg": encoded(IMAGE, "JPEG", progressive=True),
        "cmyk jpeg": encoded(IMAGE.convert("CMYK"), "JPEG"),
        "grey jpeg": encoded(IMAGE.convert("L"), "JPEG"),
        "arithmetic jpeg": encodings.ARITHMETIC,
    }


def _pngs_and_webps() -> dict[str, bytes]:
    encoded = encodings.encoded
    return {
        "png": encoded(IMAGE, icc_profile=PROFILE, exif=EXIF),
        "palette png": encoded(PALETTE, transparency=3),
        "16-bit png": encoded(DEEP),
        "png with alpha": encoded(IMAGE.convert("RGBA")),
        "webp": encoded(IMAGE, "WEBP", exif=EXIF),
        "lossless webp": encoded(IMAGE.convert("RGBA"), "WEBP", lossless=True),
        "animated webp": encoded(IMAGE, "WEBP", **FRAMES),
    }


def _others() -> dict[str, bytes]:
    encoded = encodings.encoded
    return {
        "gif": encoded(PALETTE, "GIF", transparency=3),
        "animated gif": encoded(IMAGE, "GIF", **FRAMES),
        "bmp": encoded(IMAGE, "BMP"),
        "palette bmp": encoded(PALETTE, "BMP"),
        "tiff": encoded(IMAGE, "TIFF", icc_profile=PROFILE),
        "lzw tiff": encoded(IMAGE, "TIFF", compression="tiff_lzw"),
        "jpeg tiff": encoded(IMAGE, "TIFF", compression="jpeg"),
        "16-bit tiff": encoded(DEEP, "TIFF"),
        "tiff of two": tiffs.tiff(tiffs.directory(IMAGE.resize((9, 9)), (254, 4, [1])), tiffs.directory(IMAGE)),
    }


def mutated(seed: int, bodies: dict[str, bytes]) -> bytes:
    """The picture that a seed gives: one of `bodies`, changed one to four times."""
    chance = random.Random(seed)
    body = bytearray(bodies[chance.choice(sorted(bodies))])
    for _ in range(chance.randint(1, 4)):
        with suppress(struct.error, IndexError, ValueError, zlib.error):  # its structure is broken by now
            chance.choice((by_structure(body), any_bytes))(body, chance)
    return bytes(body)


def by_structure(body: bytearray) -> Callable[[bytearray, random.Random], None]:
    """How a picture of that format is changed."""
    start = bytes(body[:8])
    kinds = {b"\xff\xd8": a_segment, b"\x89P": a_chunk, b"RI": a_riff_chunk, b"GI": a_block, b"II": an_entry, b"MM": an_entry}
    return kinds.get(start[:2], a_field)


def any_bytes(body: bytearray, chance: random.Random) -> None:
    """Some bytes are others, are gone, or are there twice."""
    place, length = chance.randrange(len(body)), chance.choice((1, 1, 2, 4, 16))
    old = bytes(body[place : place + length])
    body[place : place + length] = chance.choice((chance.randbytes(len(old)), b"", old * 2, number(chance, len(old))))


def number(chance: random.Random, size: int) -> bytes:
    """A number that is the least or the greatest of something."""
    return (chance.choice(VALUES) & (1 << 8 * size) - 1).to_bytes(size, chance.choice(("big", "little")))


def a_part(body: bytearray, parts: list[tuple[int, int]], chance: random.Random) -> None:
    """One of the parts is left out, comes twice, takes another's place, or has other bytes inside."""
    begin, end = chance.choice(parts)
    other = slice(*chance.choice(parts))
    what = chance.randrange(4)
    if what == 3 and end > begin:
        place = chance.randrange(begin, end)
        size = chance.choice((1, 2, 4))
        body[place : place + size] = number(chance, size)
        return
    body[begin:end] = (b"", body[begin:end] * 2, body[other])[what % 3]


def a_segment(body: bytearray, chance: random.Random) -> None:
    """Of a JPEG: a segment, its marker or its length."""
    segments = [(place - 2, place + int.from_bytes(body[place : place + 2])) for _, place in jpeg._markers(bytes(body))]
    begin, _ = chance.choice(segments)
    what = chance.randrange(3)
    if what == 0:
        body[begin + 1] = chance.randrange(0xC0, 0x100)
    elif what == 1:
        body[begin + 2 : begin + 4] = number(chance, 2)
    else:
        a_part(body, segments, chance)


def a_chunk(body: bytearray, chance: random.Random) -> None:
    """Of a PNG: a chunk, its name, its length or its data, mostly under a checksum that holds."""
    chunks = list(png.chunks(bytes(body)))
    if chance.random() < 0.3:
        a_part(body, [(begin - 4, end + 4) for _, begin, end in chunks], chance)
        return
    kind, begin, end = chance.choice(chunks)
    name = chance.choice([kind, kind, kind, *(other for other, _, _ in chunks), b"tRNS", b"fcTL", b"acTL", b"zTXt", b"iTXt"])
    data = bytearray(body[begin + 4 : end])
    if kind == b"IDAT" and chance.random() < 0.7:
        pixels = bytearray(zlib.decompress(data))
        any_bytes(pixels, chance)
        data = bytearray(zlib.compress(pixels))
    elif data:
        any_bytes(data, chance)
    body[begin - 4 : end + 4] = encodings.chunk(name, bytes(data))


def a_riff_chunk(body: bytearray, chance: random.Random) -> None:
    """Of a WebP: a chunk, its name or its length."""
    parts, place = [], 12
    while place + 8 <= len(body):
        end = place + 8 + int.from_bytes(body[place + 4 : place + 8], "little")
        parts.append((place, end + end % 2))
        place = parts[-1][1]
    begin, _ = chance.choice(parts)
    what = chance.randrange(3)
    if what == 0:
        body[begin : begin + 4] = chance.choice((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"ICCP"))
    elif what == 1:
        body[begin + 4 : begin + 8] = number(chance, 4)
    else:
        a_part(body, parts, chance)


def a_block(body: bytearray, chance: random.Random) -> None:
    """Of a GIF: its header, or what stands at a separator."""
    places = [0, 6, *(place for place, byte in enumerate(body) if byte in (0x21, 0x2C, 0x3B))]
    place = chance.choice(places) + chance.randrange(12)
    body[place : place + 2] = number(chance, chance.choice((1, 2)))


def an_entry(body: bytearray, chance: random.Random) -> None:
    """Of a TIFF: an entry's tag, type, count or value, or how many there are."""
    order = "<" if body[:1] == b"I" else ">"
    directories = list(tiff._walk(bytes(body)))
    place = chance.choice(directories).place
    (entries,) = struct.unpack_from(order + "H", body, place)
    entry = place + 2 + 12 * chance.randrange(entries)
    what = chance.randrange(5)
    if what == 0:
        struct.pack_into(order + "H", body, entry, chance.choice(TAGS))
    elif what == 1:
        struct.pack_into(order + "H", body, entry + 2, chance.randrange(20))
    elif what == 2:
        struct.pack_into(order + "I", body, entry + 4, chance.choice((*VALUES, entries)))
    elif what == 3:
        struct.pack_into(order + "I", body, entry + 8, chance.choice((*VALUES, len(body), place, entry)))
    else:
        struct.pack_into(order + "H", body, place, chance.choice((0, 1, entries - 1, entries + 1, 0xFFFF)))


def a_field(body: bytearray, chance: random.Random) -> None:
    """Of a BMP: a field of its header."""
    place = chance.choice((2, 10, 14, 18, 22, 26, 28, 30, 34, 38, 42, 46, 50))
    size = chance.choice((1, 2, 4))
    body[place : place + size] = number(chance, size)


def verdict(body: bytes) -> str:
    """``picture``, a reason code, or what else came out of it."""
    try:
        shape = decoding.decode(body).pixels.shape
    except decoding.BadImage as bad:
        return bad.reason
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"raised {type(error).__name__}"
    return "picture" if shape == (224, 224, 3) else f"gave {shape}"


def decode_all(connection: multiprocessing.connection.Connection) -> None:
    """What a worker does: answers a seed with its verdict, until there is none."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and libjpeg talk of all that is odd
    bodies = seeds()
    connection.send("ready")
    while (first := connection.recv()) is not None:
        for seed in range(*first):
            connection.send((seed, verdict(mutated(seed, bodies))))


def misbehave(connection: multiprocessing.connection.Connection) -> None:
    """A worker for the test of this harness: seed 1 ends its process, 2 keeps it busy, 3 is told to have raised something."""
    connection.send("ready")
    while (first := connection.recv()) is not None:
        for seed in range(*first):
            if seed == 1:
                os._exit(1)
            time.sleep(600 * (seed == 2))
            connection.send((seed, "raised KeyError" if seed == 3 else "picture"))


class Worker:
    """A process that decodes, and another one where it is killed or hangs."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=decode_all, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        assert self._connection.recv() == "ready"

    def verdicts(self, first: int, end: int) -> Iterator[tuple[int, str]]:
        """Each seed and its verdict."""
        seed = first
        self._connection.send((seed, end))
        while seed < end:
            try:
                if not self._connection.poll(DEADLINE_SECONDS):
                    raise TimeoutError
                _, found = self._connection.recv()
            except (EOFError, OSError) as error:
                found = "too late" if isinstance(error, TimeoutError) else "killed its process"
                self._process.kill()
                self._start()
                if seed + 1 < end:
                    self._connection.send((seed + 1, end))
            yield seed, found
            seed += 1

    def end(self) -> None:
        """Lets the process go."""
        self._connection.send(None)
        self._process.join(5)


def fuzz(first: int, mutations: int) -> Counter[str]:
    """Verdicts on so many seeds from `first` on; prints each that is none."""
    found: Counter[str] = Counter()
    worker, began = Worker(), time.monotonic()
    for begin in range(first, first + mutations, AT_ONCE):
        for seed, what in worker.verdicts(begin, min(begin + AT_ONCE, first + mutations)):
            found[what] += 1
            if what not in REASONS | {"picture"}:
                print(f"seed {seed}: {what}", flush=True)
    worker.end()
    print(
        f"{mutations} mutations, {mutations / (time.monotonic() - began):.0f} a second: {dict(found.most_common())}", flush=True
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures changed by structure and by byte.")
    parser.add_argument("--mutations", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given, _ = parser.parse_known_args()
    found = fuzz(given.first, given.mutations)
    sys.exit(bool(set(found) - REASONS - {"picture"}))


if __name__ == "__main__":
    main()
