"""Bounds on the work that a file asks of its decoder, checked before it is decoded: a small file may ask for minutes.

The bounds are far above what cameras, scanners and programs write. The deadline of each image stops what they let through.
"""

from __future__ import annotations

import struct
from itertools import islice

from fruitpipe.pictures import formats, jpeg, png, tiff

MAX_PIXELS = 2**26  # 8192 x 8192; a picture of this size takes up to 1.0 GB while it is decoded (WebP), a JPEG 0.3 to 0.8 GB
MAX_SCANNED_PIXELS = 2**31  # a JPEG's pixels times its scans, each of which covers all of them; programs write ten scans
LEAST_SCANNED_PIXELS = 2**16  # counted for a scan of a small picture
MAX_CHUNKS = 2**18  # of a PNG
MAX_BLOCKS = 2**20  # of a GIF, 255 bytes each as programs write them
MAX_PIECES = 2**18  # strips or tiles of a TIFF
MAX_RUN_BYTES = 2**23  # of a BMP with run-length encoding, which Pillow decodes in Python
BMP_PACKING, BMP_RUNS = 30, (1, 2)


def too_much(body: bytes) -> str | None:
    """A phrase with what the file asks for and the bound that it exceeds; None where it may be decoded."""
    try:
        what, asked, bound = _asked(body)
    except (struct.error, IndexError):  # it is cut, which the decoder reports
        return None
    return f"{asked} {what}, at most {bound} are decoded" if asked > bound else None


def _asked(body: bytes) -> tuple[str, int, int]:
    if body.startswith(jpeg.SIGNATURE):
        scans, frame = jpeg.scans(body)[0], jpeg.frame(body)
        pixels = max(frame.width * frame.height, LEAST_SCANNED_PIXELS)
        return f"pixels in {scans} scans", scans * pixels, MAX_SCANNED_PIXELS
    if body.startswith(png.SIGNATURE):
        return "chunks", sum(1 for _ in islice(png.chunks(body), MAX_CHUNKS + 1)), MAX_CHUNKS
    if body.startswith(formats.GIF):
        return "blocks of data", sum(1 for _ in islice(formats.gif_blocks(body), MAX_BLOCKS + 1)), MAX_BLOCKS
    if tiff.is_tiff(body):
        return _asked_of_tiff(body)
    if body.startswith(formats.BMP) and int.from_bytes(body[BMP_PACKING : BMP_PACKING + 4], "little") in BMP_RUNS:
        return "bytes of runs", len(body), MAX_RUN_BYTES
    return "", 0, 0


def _asked_of_tiff(body: bytes) -> tuple[str, int, int]:
    if (pixels := tiff.tile_pixels(body)) > MAX_PIXELS:  # all are decoded, however few of them the picture has
        return "pixels in a tile", pixels, MAX_PIXELS
    return "strips or tiles", tiff.pieces(body), MAX_PIECES
