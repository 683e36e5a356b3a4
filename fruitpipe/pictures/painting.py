"""What the fruits are painted with: a lit canvas, shapes, and surfaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE_PX = 100

Grid = npt.NDArray[Any]  # float32 or float64: a value, or a colour, for each pixel of the canvas
Colour = tuple[float, float, float] | Grid  # one for all pixels, or one for each

_CANVAS_PX = 2 * SIDE_PX  # drawn at twice the size, so that edges come out smooth
_Y, _X = (np.mgrid[0:_CANVAS_PX, 0:_CANVAS_PX].astype(np.float32) + 0.5) * (2 / _CANVAS_PX) - 1
_LIGHT = np.array([-0.45, -0.6, 0.66], np.float32)  # from the upper left, and from the front
_HALFWAY = np.array([-0.25, -0.33, 0.91], np.float32)  # between the light and the eye


class Canvas:
    """A white square, and coordinates of the fruit on it: turned and scaled, `x` to the right, `y` down, 1 is its edge."""

    def __init__(self, rng: np.random.Generator) -> None:
        turn, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.78, 0.9)
        cos, sin = np.float32(np.cos(turn) / size), np.float32(np.sin(turn) / size)
        self.x: Grid = cos * _X + sin * _Y
        self.y: Grid = cos * _Y - sin * _X
        self._size = size
        self._pixels = np.full((_CANVAS_PX, _CANVAS_PX, 3), 255, np.float32)

    def paint(self, edge: Grid, colour: Colour, gloss: float = 0.5, relief: Grid | float = 0, depth: float = 1) -> None:
        """Paints a rounded body where `edge` is below 1, lit as if it swelled up by `depth`, with `relief` on its surface."""
        inside = edge < 1
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # the rest of the canvas would be wasted work
        height = np.sqrt(np.maximum(1 - edge[part] ** 2, 0)) * np.float32(depth * self._size) + _part(relief, part)
        normal = _normals(height)
        light = 0.42 + 0.66 * np.maximum(normal @ _LIGHT, 0)
        shine = 255 * gloss * np.maximum(normal @ _HALFWAY, 0) ** 40
        lit = np.clip(_part(np.asarray(colour, np.float32), part) * light[..., None] + shine[..., None], 0, 255)
        np.copyto(self._pixels[part], lit, where=inside[part][..., None])

    def image(self) -> Image.Image:
        return Image.fromarray(self._pixels.astype(np.uint8)).reduce(_CANVAS_PX // SIDE_PX)


def _part(values: Grid | float, part: tuple[slice, slice]) -> Grid | float:
    return values[part] if isinstance(values, np.ndarray) and values.ndim > 1 else values


def _normals(height: Grid) -> Grid:
    down, right = np.gradient(height, 2 / _CANVAS_PX)
    normals: Grid = np.stack([-right, -down, np.ones_like(height)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return normals


# Shapes: grids that are 0 in the middle, 1 at the edge.


def ball(canvas: Canvas, x: float = 0, y: float = 0, width: float = 1, height: float = 1) -> Grid:
    return np.hypot((canvas.x - x) / width, (canvas.y - y) / height)


def melted(*shapes: Grid) -> Grid:
    """One body out of several, with smooth necks between them."""
    swelling: Grid = np.sum([shape**-4 for shape in shapes], axis=0)
    return swelling**-0.25


def stick(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], thickness: float) -> Grid:
    across, along = end[0] - start[0], end[1] - start[1]
    x, y = canvas.x - start[0], canvas.y - start[1]
    share = np.clip((x * across + y * along) / (across**2 + along**2), 0, 1)
    return np.hypot(x - share * across, y - share * along) / thickness


def leaf(canvas: Canvas, x: float, y: float, angle: float, length: float) -> Grid:
    """A lens that begins at a point and lies at an angle to the right."""
    along = ((canvas.x - x) * np.cos(angle) + (canvas.y - y) * np.sin(angle)) / length
    across = ((canvas.y - y) * np.cos(angle) - (canvas.x - x) * np.sin(angle)) / length
    lens: Grid = np.hypot(2 * along - 1, across * 4) + 0.6 * np.abs(2 * along - 1) * np.abs(across * 4)
    return lens


# Surfaces.


def mix(first: Colour, second: Colour, share: Grid) -> Grid:
    start, end = np.asarray(first, np.float32), np.asarray(second, np.float32)
    mixed: Grid = start + (end - start) * np.clip(share, 0, 1)[..., None]
    return mixed


def tint(rng: np.random.Generator, colour: tuple[float, float, float]) -> Grid:
    """No two fruits have quite the same colour."""
    return np.asarray(colour, np.float32) * rng.uniform(0.92, 1.06, 3).astype(np.float32)


def noise(rng: np.random.Generator, cells: int) -> Grid:
    """Smooth noise between about 0 and 1, with so many bumps across the canvas."""
    coarse = Image.fromarray(rng.random((cells, cells), np.float32))
    return np.asarray(coarse.resize((_CANVAS_PX, _CANVAS_PX), Image.Resampling.BICUBIC))


def turned(canvas: Canvas) -> Grid:
    """The angle around the middle, 0 at the top."""
    return np.arctan2(canvas.x, -canvas.y)
