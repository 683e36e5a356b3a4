"""The page's icons: an apple with a leaf, drawn at any size."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

GROUND, APPLE, SHINE, LEAF, STEM = (250, 244, 232), (201, 52, 42), (232, 116, 98), (86, 138, 58), (96, 66, 36)
FINER = 3  # drawn so many times larger, so that edges come out smooth
CORNER = 0.22  # of the ground, unless the phone cuts it out itself
Grid = npt.NDArray[np.float64]


def png(side_px: int, *, is_full: bool = False) -> bytes:
    """A square PNG. is_full: to its corners and with room around, for phones that cut their own shape out of it."""
    buffer = io.BytesIO()
    _drawn(side_px * FINER, is_full=is_full).resize((side_px, side_px), Image.Resampling.BOX).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _drawn(side: int, *, is_full: bool) -> Image.Image:
    down, across = (np.mgrid[0:side, 0:side] + 0.5) * (2 / side) - 1
    pixels = np.zeros((side, side, 4), np.uint8)
    inner = 1 - 2 * CORNER
    ground = np.maximum(np.abs(across) - inner, 0) ** 2 + np.maximum(np.abs(down) - inner, 0) ** 2 < (2 * CORNER) ** 2
    _paint(pixels, ground | is_full, GROUND)
    size = 0.58 if is_full else 0.72
    x, y = across / size, down / size - 0.12
    _paint(pixels, _apple(x, y) < 1, APPLE)
    _paint(pixels, (((x + 0.36) / 0.16) ** 2 + ((y + 0.22) / 0.24) ** 2) < 1, SHINE)
    _paint(pixels, np.maximum(np.abs(x - 0.1 * (y + 0.6) ** 2) / 0.05, np.abs(y + 0.775) / 0.225) < 1, STEM)
    _paint(pixels, _lens(x, y, 0.06, -0.78, 0.62), LEAF)
    return Image.fromarray(pixels)


def _apple(x: Grid, y: Grid) -> Grid:
    """Below 1 inside: a circle with a dent at the top and a smaller one below."""
    angle = np.arctan2(x, -y)
    radius = 0.95 - 0.34 * np.exp(-((angle / 0.42) ** 2)) - 0.1 * np.exp(-(((np.pi - np.abs(angle)) / 0.3) ** 2))
    distance: Grid = np.hypot(x, y) / radius
    return distance


def _lens(x: Grid, y: Grid, left: float, low: float, length: float) -> npt.NDArray[np.bool_]:
    """A leaf from its stem to the upper right."""
    along = ((x - left) - (y - low) * 0.6) / 1.36 / length
    aside = ((y - low) + (x - left) * 0.6) / 1.36 / length
    inside: npt.NDArray[np.bool_] = (along > 0) & (along < 1) & (np.abs(aside) < 0.9 * along * (1 - along))
    return inside


def _paint(pixels: npt.NDArray[np.uint8], where: npt.NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    pixels[where] = (*colour, 255)
