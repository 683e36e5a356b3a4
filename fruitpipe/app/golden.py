"""Pictures that the product draws, of all kinds that a browser is to decode as we do: a page shows with them what it is worth."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from fruitpipe.pictures import drawn
from fruitpipe.pictures.decoding import ORIENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

FRUITS = list(drawn.FRUITS)
TURNS = range(2, 9)  # of EXIF
GRAIN = 3.0  # levels, in large pictures: without it they would be nothing but smooth
# lossless: every decoder gives the same pixels. lossy: decoders of browsers may differ by a level.
How = Literal["lossless", "lossy"]


class Golden(NamedTuple):
    """A file with its name, which says what is special about it."""

    name: str
    body: bytes
    how: How


def pictures() -> list[Golden]:
    """All of them, the same bytes each time with the same Pillow."""
    return [*_plain(), *_jpegs(), *_turned(), *_lossless(), *_webps(), *_sizes(), *_large()]


def _plain() -> Iterator[Golden]:
    for number, fruit in enumerate(FRUITS[:7]):
        yield Golden(f"plain-{number}.jpg", drawn.jpeg(fruit, 1000), "lossy")


def _jpegs() -> Iterator[Golden]:
    for number in range(3):
        yield Golden(f"progressive-{number}.jpg", _file(_fruit(number, (320, 240)), "JPEG", progressive=True), "lossy")
    yield Golden("grey.jpg", _file(_fruit(3).convert("L"), "JPEG"), "lossy")
    for number in range(2):
        yield Golden(f"cmyk-{number}.jpg", _file(_fruit(number).convert("CMYK"), "JPEG"), "lossy")
    yield Golden("every-colour.jpg", _file(_fruit(4), "JPEG", quality=100, subsampling="4:4:4"), "lossy")
    yield Golden("few-colours.jpg", _file(_fruit(5, (201, 133)), "JPEG", quality=40, subsampling="4:2:0"), "lossy")


def _turned() -> Iterator[Golden]:
    for turn in TURNS:
        exif = Image.Exif()
        exif[ORIENTATION] = turn
        yield Golden(f"turned-{turn}.jpg", _file(_fruit(turn, (160, 120)), "JPEG", exif=exif), "lossy")


def _lossless() -> Iterator[Golden]:
    yield Golden("plain.png", _file(_fruit(6), "PNG"), "lossless")
    yield Golden("grey.png", _file(_fruit(7).convert("L"), "PNG"), "lossless")
    yield Golden("palette.png", _file(_fruit(8).quantize(64), "PNG"), "lossless")
    yield Golden("transparent.png", _file(_transparent(9), "PNG"), "lossless")
    yield Golden("cut-out.png", _file(_cut_out(10), "PNG"), "lossless")
    yield Golden("plain.gif", _file(_fruit(11).quantize(128), "GIF"), "lossless")
    yield Golden("plain.bmp", _file(_fruit(0, (90, 90)), "BMP"), "lossless")


def _webps() -> Iterator[Golden]:
    for number in range(2):
        yield Golden(f"lossy-{number}.webp", _file(_fruit(number + 2, (180, 140)), "WEBP", quality=80), "lossy")
    yield Golden("lossless.webp", _file(_fruit(1), "WEBP", lossless=True), "lossless")
    yield Golden("transparent.webp", _file(_transparent(3), "WEBP", lossless=True), "lossless")


def _sizes() -> Iterator[Golden]:
    yield Golden("tiny.png", _file(_fruit(2, (24, 20)), "PNG"), "lossless")
    yield Golden("as-the-network.png", _file(_fruit(4, (224, 224)), "PNG"), "lossless")
    yield Golden("tall.jpg", _file(_fruit(5, (60, 420)), "JPEG"), "lossy")
    yield Golden("wide.jpg", _file(_fruit(6, (700, 90)), "JPEG"), "lossy")
    yield Golden("full-hd.jpg", _file(_grainy(7, (1920, 1080)), "JPEG", quality=70), "lossy")


def _large() -> Iterator[Golden]:
    yield Golden("large.jpg", _file(_grainy(8, (1800, 1350)), "JPEG", quality=70), "lossy")
    yield Golden("large-progressive.jpg", _file(_grainy(9, (1344, 1500)), "JPEG", quality=70, progressive=True), "lossy")


def _fruit(number: int, size: tuple[int, int] = (100, 100)) -> Image.Image:
    with Image.open(io.BytesIO(drawn.jpeg(FRUITS[number % len(FRUITS)], 1001))) as fruit:
        return fruit.resize(size, Image.Resampling.BICUBIC)


def _transparent(number: int) -> Image.Image:
    """A fruit that fades away to the right, over colours that must not be seen."""
    fruit = _fruit(number)
    fades = np.tile(np.linspace(255, 0, fruit.width).round().astype(np.uint8), (fruit.height, 1))
    fruit.putalpha(Image.fromarray(fades))
    return fruit


def _cut_out(number: int) -> Image.Image:
    """A fruit in a palette of which the colour of the ground is transparent."""
    palette = _fruit(number).quantize(32)
    ground = palette.getpixel((0, 0))
    assert isinstance(ground, int)
    palette.info["transparency"] = ground
    return palette


def _grainy(number: int, size: tuple[int, int]) -> Image.Image:
    pixels = np.asarray(_fruit(number, size), np.float32)
    grain = np.random.default_rng(number).standard_normal((size[1] // 4, size[0] // 4), np.float32)
    rough = np.asarray(Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC)) * GRAIN
    return Image.fromarray(np.clip(pixels + rough[..., np.newaxis], 0, 255).astype(np.uint8))


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
