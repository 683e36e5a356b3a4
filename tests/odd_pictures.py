"""Bad and odd pictures, drawn when needed: each with the reason code that it must get, or with what a person sees in it."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests import pictures
from tests.encodings import ARITHMETIC
from tests.tiffs import directory, tiff

MAX_IMAGE_BYTES = 50_000_000  # the stream's default
LARGEST_PX = 8192  # squared, the most pixels that are decoded
JPEG = pictures.jpeg(3)
SEEN = Image.open(io.BytesIO(JPEG)).convert("RGB")
SMALLER = SEEN.resize((16, 16)).rotate(90)
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class OddPicture:
    """`body` draws its bytes. Of a bad one `reason` is the code that is due; of a good one `seen` is a plain RGB twin."""

    body: Callable[[], bytes]
    reason: str | None = None
    seen: Callable[[], Image.Image] = lambda: SEEN
    large: bool = False


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(
    width: int, height: int, depth: int, colour_type: int, rows: bytes, *extra: tuple[bytes, bytes], interlaced: bool = False
) -> bytes:
    """A PNG made by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pictures_by_name() -> dict[str, OddPicture]:
    """All of them, by the file names that they are to have."""
    return {**_bad(), **_cut(), **_good(), **_turned(), **_large()}


def _bad() -> dict[str, OddPicture]:
    def bad(reason: str, body: bytes) -> OddPicture:
        return OddPicture(lambda: body, reason)

    table, start = JPEG.index(b"\xff\xc4"), JPEG.index(b"\xff\xc0")
    raw = tiff(directory(SMALLER, (254, 4, [1]), (50706, 1, [1, 4, 0, 0])), directory(SEEN))
    return {
        "empty.jpg": bad("empty", b""),
        "text.jpg": bad("not-an-image", b"just some text"),
        "html.jpg": bad("not-an-image", b"<!DOCTYPE html><html><body>404</body></html>"),
        "random-bytes.jpg": bad("not-an-image", np.random.default_rng(1).bytes(4984)),
        "svg.png": bad("unsupported-format", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        "pdf.jpg": bad("unsupported-format", b"%PDF-1.7\n..."),
        "zip.jpg": bad("unsupported-format", b"PK\x03\x04" + bytes(40)),
        "heic.jpg": bad("truncated", b"\0\0\0\x18ftypheic" + bytes(40)),
        "mp4.jpg": bad("unsupported-format", b"\0\0\0\x18ftypisom" + bytes(40)),
        "bare.j2k.jpg": bad("unsupported-format", encoded(SEEN, "JPEG2000", no_jp2=True)),
        "12-bit.jpg": bad("unsupported-format", JPEG[: start + 4] + b"\x0c" + JPEG[start + 5 :]),
        "raw.tiff.jpg": bad("unsupported-format", raw),
        "32-bit-tiff.jpg": bad("unsupported-format", encoded(SEEN.convert("L").convert("F"), "TIFF")),
        "corrupt-huffman-tables.jpg": bad("not-an-image", JPEG[: table + 5] + b"\xff" * 16 + JPEG[table + 21 :]),
        "zero-width.png": bad("not-an-image", png(0, 5, 8, 2, b"")),
        "zero-width.jpg": bad("not-an-image", JPEG[: start + 7] + b"\0\0" + JPEG[start + 9 :]),
        "claims-60000x60000.png": bad("too-many-pixels", png(60000, 60000, 8, 2, b"\0" * 1000)),
        "bomb-20000x10000.png": OddPicture(lambda: encoded(Image.new("1", (20000, 10000))), "too-many-pixels"),
        "bomb-12000x12000.png": OddPicture(lambda: encoded(Image.new("1", (12000, 12000))), "too-many-pixels"),
        "too-many-bytes.jpg": OddPicture(lambda: JPEG + bytes(MAX_IMAGE_BYTES), "too-large", large=True),
    }


def _cut() -> dict[str, OddPicture]:
    """JPEG and PNG cut at many lengths."""
    found = {}
    for suffix, body in (("jpg", JPEG), ("png", encoded(SEEN))):
        lengths = [
            3,
            10,
            33,
            100,
            len(body) // 4,
            len(body) // 2,
            len(body) * 3 // 4,
            len(body) - 100,
            len(body) - 12,
            len(body) - 1,
        ]
        for length in lengths:
            found[f"cut-at-{length}-of-{len(body)}.{suffix}"] = OddPicture(lambda cut=body[:length]: cut, "truncated")
    found["half-with-an-end-marker.jpg"] = OddPicture(lambda: JPEG[: len(JPEG) // 2] + b"\xff\xd9", "truncated")
    return found


def _good() -> dict[str, OddPicture]:
    return _encodings() | _depths() | _transparent() | _animated() | _profiled()


def _seen(body: bytes, seen: Image.Image = SEEN) -> OddPicture:
    return OddPicture(lambda: body, None, lambda: seen)


def _encodings() -> dict[str, OddPicture]:
    one = Image.new("RGB", (1, 1), (10, 200, 30))
    return {
        "plain.jpg": _seen(JPEG),
        "progressive.jpg": _seen(encoded(SEEN, "JPEG", progressive=True, quality=95)),
        "cmyk.jpg": _seen(encoded(SEEN.convert("CMYK"), "JPEG", quality=95)),
        "ycck.jpg": _seen(_ycck(SEEN)),
        "interlaced.png": _seen(_interlaced(), Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]]] * 2, np.uint8))),
        "a-png-called.jpg": _seen(encoded(SEEN)),
        "a-jpeg-called.png": _seen(JPEG),
        "1x1.png": _seen(encoded(one), one),
        "1x5000.png": _seen(encoded(one.resize((1, 5000))), one.resize((1, 5000))),
        "large-text.png": _seen(png(*SEEN.size, 8, 2, _rows(SEEN), (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))))),
        "arithmetic.jpg": _seen(ARITHMETIC, Image.open(io.BytesIO(encoded(SEEN.resize((24, 24)), "JPEG")))),
        "thumbnail-first.tiff.jpg": _seen(tiff(directory(SMALLER, (254, 4, [1])), directory(SEEN))),
        "upper-case.JPG": _seen(JPEG),
    }


def _depths() -> dict[str, OddPicture]:
    grey = SEEN.convert("L")
    deep = Image.fromarray((np.asarray(grey, np.uint16) << 8) + 7)
    wide = np.asarray(SEEN, np.uint16).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    return {
        "16-bit-grey.png": _seen(encoded(deep), grey.convert("RGB")),
        "16-bit-colour.png": _seen(png(*SEEN.size, 16, 2, rows)),
        "1-bit.png": _seen(encoded(SEEN.convert("1")), SEEN.convert("1").convert("RGB")),
        "palette.png": _seen(encoded(SEEN.quantize(32)), SEEN.quantize(32).convert("RGB")),
    }


def _transparent() -> dict[str, OddPicture]:
    see_through = SEEN.convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize(SEEN.size).point(lambda level: 255 if level > 99 else 0))
    on_white = Image.new("RGB", SEEN.size, "white")
    on_white.paste(see_through, mask=see_through)
    clear = png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", b"\xff\0\0\0\0\xff"), (b"tRNS", b"\0"))
    return {
        "palette-with-transparency.png": _seen(clear, Image.fromarray(np.array([[[255, 255, 255], [0, 0, 255]]], np.uint8))),
        "rgba.png": _seen(encoded(see_through), on_white),
        "la.png": _seen(encoded(see_through.convert("LA")), on_white.convert("L").convert("RGB")),
    }


def _animated() -> dict[str, OddPicture]:
    frames = {"save_all": True, "append_images": [SEEN.rotate(90)]}
    return {
        "animated.gif.png": _seen(encoded(SEEN, "GIF", **frames), SEEN.quantize(256).convert("RGB")),
        "animated.webp": _seen(encoded(SEEN, "WEBP", lossless=True, **frames)),
    }


def _profiled() -> dict[str, OddPicture]:
    return {
        "srgb-profile.jpg": _seen(encoded(SEEN, "JPEG", quality=95, icc_profile=_srgb())),
        "a-profile-that-exchanges-red-and-blue.png": _seen(encoded(_exchanged(SEEN), icc_profile=_exchanging())),
        "a-damaged-profile.jpg": _seen(encoded(SEEN, "JPEG", quality=95, icc_profile=b"no profile" * 30)),
    }


def _turned() -> dict[str, OddPicture]:
    upright, found = SEEN.resize((60, 40)), {}
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        body = encoded(upright if turn is None else upright.transpose(turn), "PNG", exif=exif)
        found[f"exif-orientation-{orientation}.png"] = OddPicture(lambda body=body: body, None, lambda: upright)
    return found


def _large() -> dict[str, OddPicture]:
    side = (LARGEST_PX, LARGEST_PX)
    flat = functools.partial(Image.new, "RGB", (224, 224), (10, 200, 30))

    def large(mode: str, kind: str, colour: Any, **options: Any) -> OddPicture:
        return OddPicture(lambda: encoded(Image.new(mode, side, colour), kind, **options), None, flat, large=True)

    green = (10, 200, 30)
    return {
        "largest.jpg": large("RGB", "JPEG", green),
        "largest-progressive.jpg": large("RGB", "JPEG", green, progressive=True),
        "largest.png": large("RGB", "PNG", green),
        "largest-rgba.png": large("RGBA", "PNG", (*green, 255)),
        "largest.webp": large("RGB", "WEBP", green),
        "4000x3000.jpg": OddPicture(lambda: encoded(Image.new("RGB", (4000, 3000), green), "JPEG"), None, flat, large=True),
    }


def _ycck(image: Image.Image) -> bytes:
    """As Photoshop writes them: the channels of a CMYK JPEG hold Y, Cb, Cr and K, and the mark says so."""
    luma, blue, red = image.convert("YCbCr").split()
    body = bytearray(encoded(Image.merge("CMYK", [luma, blue, red, Image.new("L", image.size, 0)]), "JPEG", quality=95))
    body[body.index(b"Adobe") + 11] = 2
    return bytes(body)


def _rows(image: Image.Image) -> bytes:
    """The lines of a PNG of 8 bits, unfiltered."""
    return b"".join(b"\0" + row.tobytes() for row in np.asarray(image))


def _interlaced() -> bytes:
    """Two by two pixels in Adam7's passes 1, 6 and 7."""
    red, green = b"\xff\0\0", b"\0\xff\0"
    return png(2, 2, 8, 2, b"\0" + red + b"\0" + green + b"\0" + red + green, interlaced=True)


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _exchanging() -> bytes:
    """A space whose red is sRGB's blue, under another name."""
    profile = _srgb()
    for old, new in ((b"rXYZ", b"wXYZ"), (b"bXYZ", b"rXYZ"), (b"wXYZ", b"bXYZ"), (b"\0s\0R\0G\0B", b"\0x\0R\0G\0B")):
        profile = profile.replace(old, new)
    return profile


def _exchanged(image: Image.Image) -> Image.Image:
    red, green, blue = image.split()
    return Image.merge("RGB", (blue, green, red))
