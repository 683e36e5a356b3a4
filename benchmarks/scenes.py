"""Photographs for the benchmark, made where there are none: fruits before a ground, grain of all sizes, a lens, a sensor's noise.

Each is drawn from its label, number and size alone. About 2 MB at 12 megapixels, as a phone's; NumPy and Pillow only.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFilter

from fruitpipe.pictures import drawn

GRAIN = ((12, 14.0), (60, 8.0), (300, 5.0), (1500, 4.0))  # cells across the picture, and levels
NOISE = 1.6  # levels
FRUITS = (1, 5)  # in a picture
LABELS = list(drawn.FRUITS)
# Display P3's primaries, adapted to D50, in units of 1 / 65536.
P3 = {b"rXYZ": (33759, 15807, -69), b"gXYZ": (19135, 45367, 2745), b"bXYZ": (10296, 4363, 51385)}


def draw(folder: Path, size: tuple[int, int], count: int, *, is_p3: bool = False) -> None:
    """Writes `count` JPEGs (quality 90, 4:2:0) into folders of their labels, a process a core; what is there stays."""
    options = {"icc_profile": display_p3()} if is_p3 else {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(partial(_write, folder, size, options), range(count)))


def _write(folder: Path, size: tuple[int, int], options: dict[str, bytes], number: int) -> None:
    label = LABELS[number % len(LABELS)]
    file = folder / label / f"{number:04d}.jpg"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        scene(label, number, size).save(file, "JPEG", quality=90, subsampling="4:2:0", **options)


def scene(label: str, number: int, size: tuple[int, int]) -> Image.Image:
    """One picture of `size` px: fruits of the label before a ground of a colour."""
    rng = np.random.default_rng([LABELS.index(label), number])
    ground = Image.new("RGB", size, tuple(int(level) for level in rng.integers(60, 230, 3)))
    for some in range(int(rng.integers(*FRUITS))):
        _paste(ground, label, 100 * number + some, rng)
    pixels = np.asarray(ground.filter(ImageFilter.GaussianBlur(size[0] / 4000)), np.float32)
    grain = sum(_grain(rng, size, cells) * level for cells, level in GRAIN)
    noise = rng.standard_normal((size[1], size[0], 1), np.float32) * NOISE
    return Image.fromarray(np.clip(pixels + np.asarray(grain)[..., np.newaxis] + noise, 0, 255).astype(np.uint8))


def display_p3() -> bytes:
    """An ICC profile with Display P3's primaries: Pillow's own of sRGB, with others in it, under another name."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(132, 132 + 12 * int.from_bytes(profile[128:132]), 12):
        if numbers := P3.get(bytes(profile[entry : entry + 4])):
            place = int.from_bytes(profile[entry + 4 : entry + 8]) + 8
            profile[place : place + 12] = b"".join(number.to_bytes(4, signed=True) for number in numbers)
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "P3-D".encode("utf-16-be"))


def _paste(ground: Image.Image, label: str, number: int, rng: np.random.Generator) -> None:
    side = int(min(ground.size) * rng.uniform(0.3, 0.9))
    fruit = Image.open(io.BytesIO(drawn.jpeg(label, number)))
    shape = fruit.convert("L").point(lambda level: 255 * (level < 245)).filter(ImageFilter.MedianFilter(3))
    left, top = (int(rng.integers(-side // 4, length - 3 * side // 4)) for length in ground.size)
    enlarged = (side, side), Image.Resampling.BICUBIC
    ground.paste(fruit.resize(*enlarged), (left, top), shape.resize(*enlarged))


def _grain(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    coarse = Image.fromarray(rng.standard_normal((max(1, cells * size[1] // size[0]), cells), np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BILINEAR))
