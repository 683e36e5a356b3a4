"""Bytes to a picture of the extractor's size, or a reason why not. Pillow and NumPy only.

Decoded as the first pipeline did (RGB, bicubic to 224 x 224, x / 127.5 - 1), so that vectors stay comparable; and where that
went wrong, as a person sees it: turned as EXIF says, transparency on white, 16 bits scaled to 8, an animation's first frame.

One rule for what is cut short: a file that ends before its format's end is ``truncated``, even where every pixel could still
be had. Missing pixels are never filled in. What is complete but damaged is ``not-an-image``.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageCms, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from fruitpipe.pictures import formats

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE_PX = 224
MAX_PIXELS = 64_000_000  # a picture of this size takes up to 1.0 GB while it is decoded (WebP), a JPEG 0.3 to 0.8 GB
PREPROCESSING = "decode-1"  # change it with whatever changes a pixel: stored features are then computed anew
PNG_DEPTH = "fruitpipe.depth"  # in a picture's info: bits a channel in the file
PNG_SIZE_END = 24  # signature, length and name of the first chunk, width, height
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
TIFF_DEPTH, TIFF_MEANING = 258, 262  # tags: bits a channel; 0 where white is zero
DEEP_MODES = {"I": "32-bit integer", "F": "32-bit float"}
PROFILED_MODES = ("RGB", "CMYK", "L")
# What Pillow raises for bytes that are no proper picture. MemoryError is not among them: the machine is to blame for that.
DECODER_FAULTS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, AttributeError,
    ZeroDivisionError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip

Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is asked instead, with one answer for all formats and no warning below it


class BadImage(Exception):
    """These bytes are no picture that can be featurised; `reason` is a reason code, `message` says it to a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True)
class Picture:
    """pixels: (224, 224, 3) float32 in [-1, 1]. width, height: of the original in px, as a person sees it."""

    pixels: npt.NDArray[np.float32]
    width: int
    height: int


def decode(body: bytes) -> Picture:
    """The picture in `body`. About 0.8 ms for a JPEG of 100 x 100.

    Raises BadImage for what is wrong with the bytes; anything else that it raises is a fault of this module or the machine.
    """
    if not body:
        raise BadImage("empty", "0 bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; what matters is raised
        return _decoded(body)


def _decoded(body: bytes) -> Picture:
    image = _opened(body)
    _check_pixels(image.width, image.height)
    with _blaming(body, "its pixels do not decode"):
        image.load()
    if formats.is_cut(body) or _filled_up(body, image):
        raise BadImage("truncated", f"{len(body)} bytes, without the end of a {image.format} file")
    if body.startswith(formats.PNG) and not formats.checksums_hold(body):
        raise BadImage("not-an-image", f"damaged: {len(body)} bytes, a checksum over its pixels does not hold")
    turn = _turn(image)
    image = _rgb(image)
    if turn is not None:
        image = image.transpose(turn)
    small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return Picture(np.asarray(small, dtype=np.float32) / np.float32(127.5) - np.float32(1), image.width, image.height)


def decoder_version() -> str:
    """All that decides which pixels a file gives: the preprocessing, Pillow and its codecs."""
    codecs = ", ".join(f"{codec} {features.version(codec)}" for codec in ("libjpeg_turbo", "webp", "littlecms2"))
    return f"{PREPROCESSING}, Pillow {PIL.__version__}, {codecs}"


def _opened(body: bytes) -> Image.Image:
    foreign = formats.foreign_format(body)
    if foreign:
        raise BadImage("unsupported-format", f"a {foreign} file; convert it to JPEG, PNG or WebP")
    if any(signature.startswith(body) for signature in formats.SIGNATURES):
        raise BadImage("truncated", f"{len(body)} bytes, the beginning of an image and no more")
    if not body.startswith(formats.SIGNATURES):
        raise BadImage("not-an-image", f"{len(body)} bytes that begin like no image format")
    if body.startswith(formats.PNG) and body[PNG_SIZE_END:]:  # Pillow opens it only where pixels follow
        _check_pixels(*struct.unpack_from(">II", body, len(formats.PNG) + 8))
    with _blaming(body, "its header does not decode"):
        image = Image.open(io.BytesIO(body), formats=FORMATS)
    if body.startswith(formats.PNG):
        image.info[PNG_DEPTH] = body[PNG_SIZE_END]
    return image


def _check_pixels(width: int, height: int) -> None:
    """Before any pixel is decoded: 24 kB can unfold to 600 MB."""
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise BadImage("too-many-pixels", f"{width} x {height} = {pixels} pixels, at most {MAX_PIXELS} are decoded")
    if pixels == 0:
        raise BadImage("not-an-image", f"damaged: {width} x {height} pixels")


@contextmanager
def _blaming(body: bytes, what: str) -> Iterator[None]:
    """Takes what Pillow raises for bad bytes as what is wrong with them. Holds calls of Pillow only, none of our own code."""
    try:
        yield
    except DECODER_FAULTS as error:
        reason, prefix = ("truncated", "cut short") if formats.is_cut(body) else ("not-an-image", "damaged")
        said = "no picture is found in it" if isinstance(error, UnidentifiedImageError) else str(error)[:200]
        raise BadImage(reason, f"{prefix}: {len(body)} bytes, {what} ({said})") from error


def _filled_up(body: bytes, image: Image.Image) -> bool:
    """Whether a JPEG's pixels end before its end marker: libjpeg then makes the rest mid-grey, and does not tell.

    Where the last pixel is of that grey, other bytes than the end marker show whether it was in the file. With several scans
    a cut costs sharpness, and the first of them has painted every pixel.
    """
    if not body.startswith(formats.JPEG):
        return False
    corner = (image.width - 1, image.height - 1)
    last = image.getpixel(corner)
    scans, end = formats.jpeg_scans(body)
    if scans > 1 or not {127, 128}.issuperset(last if isinstance(last, tuple) else (last,)):
        return False
    endless = JpegImageFile(io.BytesIO(body[:end] + bytes(8)))
    with suppress(*DECODER_FAULTS):
        endless.load()
    return bool(endless.im.getpixel(corner) != last)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes it stand as a person holds it. An EXIF block that does not parse says nothing: viewers pass over it, too.

    Not ImageOps.exif_transpose, which leaves the picture as it is where it cannot write another of its EXIF tags anew.
    """
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except DECODER_FAULTS:
        return None


def _rgb(image: Image.Image) -> Image.Image:
    """Eight bits a channel, red, green and blue, on white."""
    if image.mode in DEEP_MODES:
        raise BadImage(
            "unsupported-format", f"{DEEP_MODES[image.mode]} pixels, whose white is not known; save it with 8 or 16 bits"
        )
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        image = _grey(image, transparent)
    elif image.format == "PNG" and isinstance(transparent, int | tuple):
        image.info["transparency"] = _in_8_bits(image, transparent)
    if image.has_transparency_data:
        coloured = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(coloured, mask=coloured)  # in place: alpha_composite holds two more pictures of that size
        return white
    return _in_srgb(image)


def _grey(image: Image.Image, transparent: object) -> Image.Image:
    """12 or 16 bits scaled to 8, as Pillow does it with colour; its own conversion of grey makes nearly all of it white."""
    tags = getattr(image, "tag_v2", {})
    levels = np.asarray(image)
    grey = (levels >> (tags.get(TIFF_DEPTH, (16,))[0] - 8)).astype(np.uint8)
    if tags.get(TIFF_MEANING) == 0:  # Pillow sees to it at 8 bits, but not at 16
        grey = ~grey
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey)


def _in_8_bits(image: Image.Image, colour: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """A PNG's transparent colour, which Pillow leaves at the file's depth, at the depth that it gave to the pixels."""
    depth = image.info.get(PNG_DEPTH, 8)
    if isinstance(colour, tuple):
        return tuple(value >> max(depth - 8, 0) for value in colour)
    return colour * 255 // (2**depth - 1) if image.mode == "L" else colour


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
