"""One drawn picture in many formats, and PNGs made by hand."""

import io
import struct
import zlib

from PIL import Image

from tests import pictures

JPEG = pictures.jpeg(3)


COLOUR = Image.open(io.BytesIO(JPEG)).convert("RGB")


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, depth, colour_type, rows, *extra, interlaced=False):
    """A PNG made by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


FILES = {
    "jpeg": JPEG,
    "progressive": encoded(COLOUR, "JPEG", progressive=True),
    "png": encoded(COLOUR),
    "gif": encoded(COLOUR, "GIF"),
    "animated gif": encoded(COLOUR, "GIF", save_all=True, append_images=[COLOUR.rotate(9)]),
    "webp": encoded(COLOUR, "WEBP"),
    "lossless webp": encoded(COLOUR, "WEBP", lossless=True),
    "bmp": encoded(COLOUR, "BMP"),
    "tiff": encoded(COLOUR, "TIFF"),
    "lzw tiff": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "jpeg tiff": encoded(COLOUR, "TIFF", compression="jpeg"),
}
