"""Bytes to a picture of the extractor's size, or a reason why not. Pillow and NumPy only.

Decoded as the first pipeline did (RGB, bicubic to 224 × 224, x / 127.5 - 1), so that vectors stay comparable; and where that
went wrong, as a person sees it: turned as EXIF says, transparency on white, 16 bits scaled to 8, an animation's first frame.

One rule for what is cut short: a file that ends before its format's end is ``truncated``, even where every pixel could still
be had. Missing pixels are never filled in. What is complete but damaged is ``not-an-image``.
"""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageCms, ImageOps, features

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE_PX = 224
MAX_PIXELS = 64_000_000  # a picture of this size takes 256 MB while it is decoded, and twice that with transparency
PREPROCESSING = "decode-1"  # change it with whatever changes a pixel: stored features are then computed anew
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
ORIENTATION = 0x0112
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Known by their first bytes, and not taken. A person who sees the name of the format knows what to do.
FOREIGN = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"8BPS": "PSD",
    b"\x1f\x8b": "gzip",
    b"\x00\x00\x00\x0cJXL": "JPEG XL",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\x00\x00\x01\x00": "ICO",
    b"%!PS": "PostScript",
}
SIGNATURES = (JPEG, PNG, b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
DEEP_MODES = {"I": "32-bit integer", "F": "32-bit float"}
PROFILED_MODES = ("RGB", "CMYK", "L")
# What Pillow raises for bytes that are no proper picture. MemoryError is not among them: the machine is to blame for that.
DECODER_FAULTS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, AttributeError,
    ZeroDivisionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip

Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is asked instead, with one answer for all formats and no warning below it


class BadImage(Exception):  # noqa: N818 - it is data, not a fault
    """These bytes are no picture that can be featurised; `reason` is a reason code, `message` says it to a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Picture:
    """pixels: (224, 224, 3) float32 in [-1, 1]. width, height: of the original in px, as a person sees it."""

    pixels: npt.NDArray[np.float32]
    width: int
    height: int


def decode(body: bytes) -> Picture:
    """The picture in `body`. About 0.8 ms for a JPEG of 100 × 100.

    Raises BadImage for what is wrong with the bytes; anything else that it raises is a fault of this module or the machine.
    """
    if not body:
        raise BadImage("empty", "0 bytes")
    image = _opened(body)
    _check_pixels(image)
    with _blaming(body, "its pixels do not decode"):
        image.load()
    if _is_cut(body):
        raise BadImage("truncated", f"{len(body)} bytes, without the end of a {image.format} file")
    image = _turned(image)
    small = _rgb(image).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return Picture(np.asarray(small, dtype=np.float32) / np.float32(127.5) - np.float32(1), image.width, image.height)


def decoder_version() -> str:
    """All that decides which pixels a file gives: the preprocessing, Pillow and its codecs."""
    codecs = ", ".join(f"{codec} {features.version(codec)}" for codec in ("libjpeg_turbo", "zlib", "webp", "libtiff", "littlecms2"))
    return f"{PREPROCESSING}, Pillow {PIL.__version__}, {codecs}"


def _opened(body: bytes) -> Image.Image:
    foreign = _foreign_format(body)
    if foreign:
        raise BadImage("unsupported-format", f"a {foreign} file; convert it to JPEG, PNG or WebP")
    if any(signature.startswith(body) for signature in SIGNATURES):
        raise BadImage("truncated", f"{len(body)} bytes, the beginning of an image and no more")
    if not body.startswith(SIGNATURES):
        raise BadImage("not-an-image", f"{len(body)} bytes that begin like no image format")
    with _blaming(body, "its header does not decode"):
        return Image.open(io.BytesIO(body), formats=FORMATS)


def _foreign_format(body: bytes) -> str | None:
    if body[4:8] == b"ftyp":
        return "HEIC or AVIF"
    if b"<svg" in body[:1024].lower():
        return "SVG"
    return next((name for magic, name in FOREIGN.items() if body.startswith(magic)), None)


def _check_pixels(image: Image.Image) -> None:
    """Before any pixel is decoded: 24 kB can unfold to 600 MB."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise BadImage("too-many-pixels", f"{image.width} x {image.height} = {pixels} pixels, at most {MAX_PIXELS} are decoded")
    if pixels == 0:
        raise BadImage("not-an-image", f"damaged: {image.width} x {image.height} pixels")


@contextmanager
def _blaming(body: bytes, what: str) -> Iterator[None]:
    """Takes what Pillow raises for bad bytes as what is wrong with them. Holds calls of Pillow only, none of our own code."""
    try:
        yield
    except DECODER_FAULTS as error:
        reason, prefix = ("truncated", "cut short") if _is_cut(body) else ("not-an-image", "damaged")
        raise BadImage(reason, f"{prefix}: {len(body)} bytes, {what} ({str(error)[:200]})") from error


def _is_cut(body: bytes) -> bool:
    """Whether the file ends before its format says that it does."""
    if body.startswith(PNG):
        return not _reaches_iend(body)
    if body.startswith(b"RIFF"):
        return int.from_bytes(body[4:8], "little") + 8 > len(body)
    if body.startswith(b"BM"):
        return int.from_bytes(body[2:6], "little") > len(body)
    if body.startswith(b"GIF8"):
        return not body.rstrip(b"\0").endswith(b";")
    return body.startswith(JPEG) and _lacks_end_marker(body)


def _lacks_end_marker(body: bytes) -> bool:
    """Whether no end follows the start of a JPEG's last scan; an end before that belongs to a thumbnail in its header."""
    scan = body.rfind(b"\xff\xda")
    return scan < 0 or body.find(b"\xff\xd9", scan) < 0


def _reaches_iend(body: bytes) -> bool:
    """Walks PNG's chunks: length, name, data and checksum, up to the one called IEND."""
    place = len(PNG)
    while place + 12 <= len(body):
        length, kind = struct.unpack_from(">I4s", body, place)
        place += 12 + length
        if kind == b"IEND":
            return place <= len(body)
    return False


def _turned(image: Image.Image) -> Image.Image:
    """As a person holds it. An EXIF block that does not parse says nothing of the picture: viewers pass over it, too."""
    try:
        return ImageOps.exif_transpose(image) if image.getexif().get(ORIENTATION, 1) != 1 else image
    except DECODER_FAULTS:
        return image


def _rgb(image: Image.Image) -> Image.Image:
    """Eight bits a channel, red, green and blue, on white."""
    if image.mode in DEEP_MODES:
        raise BadImage("unsupported-format", f"{DEEP_MODES[image.mode]} pixels, whose white is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return _in_srgb(image)


def _in_srgb(image: Image.Image) -> Image.Image:
    """Colours as the embedded profile means them; without a profile, or with one that does not parse, as they stand."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in PROFILED_MODES:
        transform = _to_srgb(profile, image.mode)
        if transform:
            return ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
