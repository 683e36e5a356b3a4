"""Bytes to a picture of the extractor's size, or a reason why not. Pillow and NumPy only.

Decoded as the first pipeline did (RGB, bicubic to 224 x 224, x / 127.5 - 1), so that vectors stay comparable; and where that
went wrong, as a person sees it: turned as EXIF says, transparency on white, 16 bits scaled to 8, an animation's first frame.

One rule for what is cut short: a file that ends before its format's end is ``truncated``, even where every pixel could still
be had. Missing pixels are never filled in. What is complete but damaged is ``not-an-image``.
"""

from __future__ import annotations

import io
import re
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
from PIL import Image, ImageCms, features
from PIL.JpegImagePlugin import JpegImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE_PX = 224
MAX_PIXELS = 64_000_000  # a picture of this size takes up to 1.0 GB while it is decoded (WebP), a JPEG 0.3 to 0.8 GB
PREPROCESSING = "decode-1"  # change it with whatever changes a pixel: stored features are then computed anew
PNG = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH = "fruitpipe.depth"  # in a picture's info: bits a channel in the file
PNG_SIZE_END = 24  # signature, length and name of the first chunk, width, height
JPEG = b"\xff\xd8\xff"
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
# Any marker but the restarts, the stuffed zero and the fill bytes that stand among compressed pixels.
JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
JPEG_END, JPEG_SCAN = 0xD9, 0xDA
GIF_END, GIF_FRAME, GIF_EXTENSION = 0x3B, 0x2C, 0x21
TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of a number of each type
TIFF_UNSIGNED = {3: "H", 4: "I"}
TIFF_INLINE_BYTES = 4  # a value as short as this stands where a longer one's place would
TIFF_DEPTH, TIFF_MEANING = 258, 262  # tags: bits a channel; 0 where white is zero
TIFF_PIXELS = {273: 279, 324: 325}  # strips, tiles: where each begins, how many bytes it has
# Known by their first bytes, and not taken. A person who sees the name of the format knows what to do.
FOREIGN = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"8BPS": "PSD",
    b"\x1f\x8b": "gzip",
    b"\x00\x00\x00\x0cJXL": "JPEG XL",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\x00\x00\x01\x00": "ICO",
    b"II+\x00": "BigTIFF",
    b"MM\x00+": "BigTIFF",
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
    if _is_cut(body) or _filled_up(body, image):
        raise BadImage("truncated", f"{len(body)} bytes, without the end of a {image.format} file")
    if body.startswith(PNG) and not _checksums_hold(body):
        raise BadImage("not-an-image", f"damaged: {len(body)} bytes, a checksum over its pixels does not hold")
    turn = _turn(image)
    image = _rgb(image)
    if turn is not None:
        image = image.transpose(turn)
    small = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return Picture(np.asarray(small, dtype=np.float32) / np.float32(127.5) - np.float32(1), image.width, image.height)


def decoder_version() -> str:
    """All that decides which pixels a file gives: the preprocessing, Pillow and its codecs."""
    codecs = ", ".join(
        f"{codec} {features.version(codec)}" for codec in ("libjpeg_turbo", "zlib", "webp", "libtiff", "littlecms2")
    )
    return f"{PREPROCESSING}, Pillow {PIL.__version__}, {codecs}"


def _opened(body: bytes) -> Image.Image:
    foreign = _foreign_format(body)
    if foreign:
        raise BadImage("unsupported-format", f"a {foreign} file; convert it to JPEG, PNG or WebP")
    if any(signature.startswith(body) for signature in SIGNATURES):
        raise BadImage("truncated", f"{len(body)} bytes, the beginning of an image and no more")
    if not body.startswith(SIGNATURES):
        raise BadImage("not-an-image", f"{len(body)} bytes that begin like no image format")
    if body.startswith(PNG) and body[PNG_SIZE_END:]:  # Pillow opens it only where pixels follow
        _check_pixels(*struct.unpack_from(">II", body, len(PNG) + 8))
    with _blaming(body, "its header does not decode"):
        image = Image.open(io.BytesIO(body), formats=FORMATS)
    if body.startswith(PNG):
        image.info[PNG_DEPTH] = body[PNG_SIZE_END]
    return image


def _foreign_format(body: bytes) -> str | None:
    if body[4:8] == b"ftyp":
        return "HEIC or AVIF"
    if b"<svg" in body[:1024].lower():
        return "SVG"
    return next((name for magic, name in FOREIGN.items() if body.startswith(magic)), None)


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
        reason, prefix = ("truncated", "cut short") if _is_cut(body) else ("not-an-image", "damaged")
        raise BadImage(reason, f"{prefix}: {len(body)} bytes, {what} ({str(error)[:200]})") from error


def _is_cut(body: bytes) -> bool:
    """Whether the file ends before its format says that it does."""
    try:
        return next((cut(body) for magic, cut in CUTS.items() if body.startswith(magic)), False)
    except (struct.error, IndexError, OverflowError):  # a field lies behind the last byte
        return True


def _jpeg_scans(body: bytes) -> tuple[int, int | None]:
    """How many scans the first picture of a JPEG has, and where its end marker begins; thumbnails have their own."""
    place, scans = 2, 0
    while found := JPEG_MARKER.search(body, place):
        marker, place = body[found.end() - 1], found.end()
        if marker == JPEG_END:
            return scans, found.start()
        scans += marker == JPEG_SCAN
        place += max(int.from_bytes(body[place : place + 2], "big"), 2)
    return scans, None


def _filled_up(body: bytes, image: Image.Image) -> bool:
    """Whether a JPEG's pixels end before its end marker: libjpeg then makes the rest mid-grey, and does not tell.

    Where the last pixel is of that grey, other bytes than the end marker show whether it was in the file. With several scans
    a cut costs sharpness, and the first of them has painted every pixel.
    """
    if not body.startswith(JPEG):
        return False
    corner = (image.width - 1, image.height - 1)
    last = image.getpixel(corner)
    scans, end = _jpeg_scans(body)
    if scans > 1 or not {127, 128}.issuperset(last if isinstance(last, tuple) else (last,)):
        return False
    endless = JpegImageFile(io.BytesIO(body[:end] + bytes(8)))
    with suppress(*DECODER_FAULTS):
        endless.load()
    return bool(endless.im.getpixel(corner) != last)


def _png_chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of each chunk's name and data, up to IEND. Raises struct.error where the bytes end before it."""
    place, kind = len(PNG), b""
    while kind != b"IEND":
        length, kind, begin = *struct.unpack_from(">I4s", body, place), place + 4
        place = begin + 4 + length + 4
        struct.unpack_from(">I", body, place - 4)
        yield kind, begin, place - 4


def _checksums_hold(body: bytes) -> bool:
    """Pillow checks the sums of all chunks but those with the pixels."""
    chunks = ((begin, end) for kind, begin, end in _png_chunks(body) if kind == b"IDAT")
    return all(zlib.crc32(memoryview(body)[begin:end]) == int.from_bytes(body[end : end + 4], "big") for begin, end in chunks)


def _gif_is_cut(body: bytes) -> bool:
    place = 13 + _gif_palette_bytes(body[10])
    while (block := body[place]) != GIF_END:
        if block == GIF_FRAME:
            place += 11 + _gif_palette_bytes(body[place + 9])
        else:
            place += 2 if block == GIF_EXTENSION else 1
        while block in (GIF_FRAME, GIF_EXTENSION) and (length := body[place]):
            place += 1 + length
        place += block in (GIF_FRAME, GIF_EXTENSION)
    return False


def _gif_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _tiff_is_cut(body: bytes) -> bool:
    """Whether a field or a strip or a tile of the first picture lies behind the last byte."""
    order, runs = "<" if body[:1] == b"I" else ">", {}
    (directory,) = struct.unpack_from(order + "I", body, 4)
    (entries,) = struct.unpack_from(order + "H", body, directory)
    for place in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count, value = struct.unpack_from(order + "HHII", body, place)
        size = TIFF_BYTES.get(kind, 0) * count
        start = value if size > TIFF_INLINE_BYTES else place + 8
        if start + size > len(body):
            return True
        if kind in TIFF_UNSIGNED and tag in (*TIFF_PIXELS, *TIFF_PIXELS.values()):
            runs[tag] = struct.unpack_from(f"{order}{count}{TIFF_UNSIGNED[kind]}", body, start)
    ends = [at + size for a, b in TIFF_PIXELS.items() for at, size in zip(runs.get(a, ()), runs.get(b, ()), strict=False)]
    return max(ends, default=0) > len(body)


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


CUTS = {
    JPEG: lambda body: _jpeg_scans(body)[1] is None,
    PNG: lambda body: not list(_png_chunks(body)),
    b"RIFF": lambda body: int.from_bytes(body[4:8], "little") + 8 > len(body),
    b"BM": lambda body: int.from_bytes(body[2:6], "little") > len(body),
    b"GIF8": _gif_is_cut,
    b"II*\0": _tiff_is_cut,
    b"MM\0*": _tiff_is_cut,
}
