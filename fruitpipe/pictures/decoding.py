"""Decodes a file's bytes into a picture of the network's size, or raises the reason why not. Pillow and NumPy only.

A picture becomes RGB, is resized to 224 x 224 (bicubic) and scaled by x / 127.5 - 1, as Keras's `preprocess_input` does it. Its
pixels are those that viewers show: oriented by EXIF, transparency on white, 16 bits scaled to 8, an animation's first frame, the
full picture of a TIFF that begins with a thumbnail. Large JPEGs are decoded at a fraction of their size (`scaling`).

A file that ends before its format's end is ``truncated``, even where every pixel could be decoded. Missing pixels are never
filled in. A file that is complete but damaged is ``not-an-image``, and so is one with other bytes before its signature.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from fruitpipe.pictures import bounds, codecs, colours, containers, formats, jpeg, png, scaling, tiff, variants
from fruitpipe.pictures.bad_image import MESSAGE_CHARACTERS, BadImage
from fruitpipe.pictures.bounds import MAX_PIXELS
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.ImageFile import ImageFile

__all__ = ["MAX_PIXELS", "NOT_THE_IMAGES", "BadImage", "Picture", "decode", "decoder_version", "picture_in"]

VERSION = "decode-1"  # change it with whatever changes a pixel of all pictures: stored features are then computed again
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
ON_ITS_SIDE = {turn for turn in TURNS.values() if turn.name in ("TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# What Pillow raises for bytes that are no proper picture. MemoryError is not among them: the machine is to blame for that.
DECODER_FAULTS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, AttributeError,
    ZeroDivisionError, NotImplementedError, AssertionError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
NOT_THE_IMAGES = (MemoryError, ImportError)  # the machine's, or the installation's, whatever image meets them

Image.MAX_IMAGE_PIXELS = None  # MAX_PIXELS is asked instead, with one answer for all formats and no warning below it


@dataclass(frozen=True)
class Picture:
    """A decoded picture. pixels: float32 as the preprocessing says. width, height: of the original in px, oriented by EXIF.

    variant: the name of the way in which it was decoded (`variants`).
    """

    pixels: npt.NDArray[np.float32]
    width: int
    height: int
    variant: str = ""


def decode(body: bytes, preprocessing: Preprocessing = STANDARD, *, in_full: bool = False) -> Picture:
    """Decodes the picture in `body`, to (224, 224, 3) in [-1, 1] unless told otherwise.

    About 0.8 ms for a JPEG of 100 x 100, 40 ms for one of 4000 x 3000.

    in_full: whether large JPEGs are decoded at their full size, too; for a network of another size they always are.

    Raises BadImage where something is wrong with the bytes. Any other error is a fault of this module, of a decoder or of the
    machine; see `picture_in`.
    """
    if not body:
        raise BadImage("empty", "0 bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; what matters is raised
        return _decoded(prepared(body), preprocessing, in_full=scaling.is_in_full(preprocessing, asked=in_full))


def picture_in(body: bytes, preprocessing: Preprocessing = STANDARD, *, in_full: bool = False) -> Picture | BadImage:
    """What `decode` gives, or why there is no picture; ``decoder-error`` for whatever else a decoder raises for this image."""
    try:
        return decode(body, preprocessing, in_full=in_full)
    except BadImage as bad:
        return bad
    except NOT_THE_IMAGES:
        raise
    except Exception as error:  # noqa: BLE001 - no reason to stop for all other images
        return BadImage("decoder-error", f"{type(error).__name__}: {error}"[:MESSAGE_CHARACTERS])


def _decoded(body: bytes, preprocessing: Preprocessing, *, in_full: bool) -> Picture:
    file = opened(body)
    size, by = file.size, 1 if in_full else _divisor(body, file)
    scaling.draft(file, by)
    image: Image.Image = file
    with _blaming(body, "its pixels do not decode"):
        image.load()
    _check_whole(body, image, by)
    turn = turn_of(image)
    is_halved = by > 1 and colours.has_other_profile(image)
    image = colours.as_seen(scaling.halved(image) if is_halved else image)
    if by > 1:
        image = Image.fromarray(scaling.resample(image, size, (by, by * (1 + is_halved)), scaling.SIDE_PX))
    else:
        size = image.size
    width, height = size[::-1] if turn in ON_ITS_SIDE else size
    variant = variants.of_picture(body, width, height, in_full=in_full)
    return Picture(preprocessing(turned(image, turn)), width, height, variant)


def _divisor(body: bytes, image: ImageFile) -> int:
    """How many times smaller a large JPEG is to be decoded; 1 for any other picture."""
    is_scalable = body.startswith(jpeg.SIGNATURE) and jpeg.frame(body).marker not in jpeg.LOSSLESS
    return scaling.divisor(*image.size, is_converted=colours.has_other_profile(image)) if is_scalable else 1


def decoder_version() -> str:
    """The versions that decide which pixels a file gives: of this decoding, of Pillow and of its codecs."""
    codecs = ", ".join(f"{codec} {features.version(codec)}" for codec in ("libjpeg_turbo", "webp", "littlecms2"))
    return f"{VERSION}, Pillow {PIL.__version__}, {codecs}"


def prepared(body: bytes) -> bytes:
    """The file as Pillow can take it: its full picture first, and without large texts, for which Pillow refuses a file.

    Nothing is decoded yet. Raises BadImage for an unknown format, too many pixels, or too much work for the decoder.
    """
    _check_format(body)
    if body.startswith(png.SIGNATURE):
        if body[png.DEPTH :]:  # Pillow opens it only where pixels follow
            _check_pixels(*struct.unpack_from(">II", body, png.SIZE))
        body = png.without_large_texts(body)
    elif tiff.is_tiff(body):
        body = tiff.with_full_picture_first(body)
    if excess := bounds.too_much(body):
        raise BadImage("too-slow", f"to decode it would take too long: {excess}")
    return body


def opened(body: bytes) -> ImageFile:
    """Opens a file that is `prepared`; its pixels are not decoded yet. Raises BadImage."""
    with _blaming(body, "its header does not decode"):
        image = Image.open(io.BytesIO(body), formats=[codecs.plugin(kind)] if (kind := containers.kind(body)) else FORMATS)
    _check_pixels(image.width, image.height)
    if body.startswith(png.SIGNATURE):
        image.info[colours.PNG_DEPTH] = body[png.DEPTH]
    if body.startswith(jpeg.SIGNATURE) and jpeg.is_arithmetic(body):
        image.decodermaxblock = len(body)
    return image


def _check_format(body: bytes) -> None:
    foreign = formats.foreign_format(body)
    if foreign:
        raise BadImage("unsupported-format", f"a file in the format {foreign}; convert it to JPEG (of 8 bits), PNG or WebP")
    if needed := codecs.needed(body):
        raise BadImage("unsupported-format", needed)
    if containers.begins(body) or any(signature.startswith(body) for signature in formats.SIGNATURES):
        raise BadImage("truncated", f"{len(body)} bytes, the beginning of an image and no more")
    if not formats.is_taken(body):
        behind = formats.picture_behind(body)
        but = f"; one begins at byte {behind}: remove what stands before it" if behind else ""
        raise BadImage("not-an-image", f"{len(body)} bytes that begin like no image format{but}")


def _check_pixels(width: int, height: int) -> None:
    """Raises BadImage before any pixel is decoded: 24 kB can decode to 600 MB."""
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise BadImage("too-many-pixels", f"{width} x {height} = {pixels} pixels, at most {MAX_PIXELS} are decoded")
    if pixels == 0:
        raise BadImage("not-an-image", f"damaged: {width} x {height} pixels")


def _check_whole(body: bytes, image: Image.Image, by: int) -> None:
    """Raises BadImage where pixels are missing or wrong and Pillow does not say so."""
    if formats.is_cut(body) or _filled_up(body, image, by):
        raise BadImage("truncated", f"{len(body)} bytes, without the end of a {image.format} file")
    if body.startswith(png.SIGNATURE) and not png.checksums_hold(body):
        raise BadImage("not-an-image", f"damaged: {len(body)} bytes, a checksum over its pixels does not hold")


@contextmanager
def _blaming(body: bytes, what: str) -> Iterator[None]:
    """Turns the errors that Pillow raises for bad bytes into BadImage. Only for calls of Pillow, so that it hides no bug here."""
    try:
        yield
    except DECODER_FAULTS as error:
        reason, prefix = ("truncated", "cut short") if formats.is_cut(body) else ("not-an-image", "damaged")
        said = "no picture is found in it" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())[:200]
        raise BadImage(reason, f"{prefix}: {len(body)} bytes, {what} ({said})") from error


def _filled_up(body: bytes, image: Image.Image, by: int) -> bool:
    """Whether a JPEG's pixels end before its end marker: libjpeg then fills the rest with mid-grey and reports nothing.

    by: how many times smaller `image` is than the file's picture.

    Where the last pixel is of that grey, the file is decoded again with other bytes in place of the end marker: a pixel that
    changes was not in the file. Files with several scans are not checked, as the first scan has every pixel, less sharp.
    """
    if not body.startswith(jpeg.SIGNATURE):
        return False
    corner = (image.width - 1, image.height - 1)
    last = image.getpixel(corner)
    scans, end = jpeg.scans(body)
    if scans > 1 or not {127, 128}.issuperset(last if isinstance(last, tuple) else (last,)):
        return False
    endless = JpegImageFile(io.BytesIO(body[:end] + bytes(8)))
    if jpeg.is_arithmetic(body):
        endless.decodermaxblock = len(body)
    scaling.draft(endless, by)
    with suppress(*DECODER_FAULTS):
        endless.load()
    return bool(endless.im.getpixel(corner) != last)


def turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """The picture upright."""
    return image if turn is None else image.transpose(turn)


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """The transposition for the EXIF orientation; None without one. Like viewers, it ignores an EXIF block that does not parse.

    ImageOps.exif_transpose is not used: it leaves the picture as it is where it cannot write another of the EXIF tags again.
    """
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except DECODER_FAULTS:
        return None
