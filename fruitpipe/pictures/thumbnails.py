"""Small pictures for the report, within a bound on what is read for them. Pillow only."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from fruitpipe import objects
from fruitpipe.pictures import decoding

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE_PX = 64
QUALITY = 60
READERS = 8
AT_ONCE = 64
MAX_IMAGE_BYTES = 20_000_000
MAX_BYTES = 200_000_000  # read for one report: 1,500 photographs of a telephone would be 5 GB


def of(paths: Sequence[str], max_bytes: int = MAX_BYTES) -> list[str | None]:
    """A data: URI for each path, about 1.2 kB; None for an image that is gone or unlike before, and once `max_bytes` are read."""
    found: list[str | None] = []
    left = max_bytes
    with ThreadPoolExecutor(READERS, "fruitpipe-thumbnails") as readers:
        for first in range(0, len(paths), AT_ONCE):
            some = paths[first : first + AT_ONCE] if left > 0 else []
            for body in readers.map(_body, some):
                left -= len(body)
                found.append(thumbnail(body) if body else None)
    return found + [None] * (len(paths) - len(found))


def thumbnail(body: bytes) -> str | None:
    """A picture of at most 64 x 64 px as a data: URI (WebP), or None for bytes that are no picture."""
    try:
        with decoding.opened(decoding.prepared(body)) as image:
            image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))  # a JPEG is decoded at an eighth of its size, ten times faster
            small = ImageOps.exif_transpose(image)
            small.thumbnail((SIDE_PX, SIDE_PX))
            return _data_uri(small)
    except (decoding.BadImage, *decoding.DECODER_FAULTS):
        return None  # overwritten since it was featurised; the report then shows its name alone


def _data_uri(image: Image.Image) -> str:
    coloured = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(coloured, mask=coloured)
    buffer = io.BytesIO()
    white.save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _body(path: str) -> bytes:
    found = objects.look(path, max_bytes=MAX_IMAGE_BYTES)
    return found.body if isinstance(found, objects.Found) else b""
