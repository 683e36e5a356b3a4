"""One drawn picture as HEIC files such as phones write, encoded here and now by pillow-heif (x265).

What decodes them is another codec (libde265); the boxes are written and read by one library, libheif.
"""

from __future__ import annotations

import io

import numpy as np
import pillow_heif
from PIL import Image

from tests.encodings import COLOUR
from tests.odd_pictures import TURNS

SEEN = COLOUR.resize((60, 40), Image.Resampling.BICUBIC)


def heic(image, *others, **options):
    """The image, and others behind it in the same file. In 4:4:4, so that colours are as sharp as the rest."""
    file = pillow_heif.from_pillow(image) if isinstance(image, Image.Image) else image
    for other in others:
        file.add_from_pillow(other)
    buffer = io.BytesIO()
    file.save(buffer, quality=90, chroma=444, **options)
    return buffer.getvalue()


def in_10_bits(image):
    return pillow_heif.from_bytes("RGB;16", image.size, (np.asarray(image, np.uint16) * 257).tobytes())


def half_transparent(image):
    """Black and transparent on its left."""
    half = image.copy()
    half.putalpha(255)
    half.paste((0, 0, 0, 0), (0, 0, image.width // 2, image.height))
    return half


def turned(image, orientation):
    """Stored otherwise, and turned by the file's own properties (`irot`, `imir`), as phones do it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = TURNS[orientation]
    file = pillow_heif.from_pillow(image if turn is None else image.transpose(turn))
    file.info["exif"] = exif.tobytes()
    return file


HEIC = {
    "plain": heic(SEEN),
    "10-bit": heic(in_10_bits(SEEN)),
    "alpha": heic(half_transparent(SEEN)),
    "turned": heic(turned(SEEN, 6)),
    "two": heic(SEEN, SEEN.rotate(180)),
}
TILED = heic(COLOUR.resize((200, 120), Image.Resampling.BICUBIC), tile_size=64)
