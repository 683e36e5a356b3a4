"""Draws a labelled data set, so that the pipeline can be tried without one: shaded, turned fruit on white, as in Fruits-360.

Each picture is drawn from its label and number alone: the same bytes on every run, however many are asked for. NumPy and
Pillow only.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fruitpipe import objects
from fruitpipe.errors import WrongUsage

SIDE_PX = 100

Grid = npt.NDArray[Any]  # float32 or float64: a value, or a colour, for each pixel of the canvas
Colour = tuple[float, float, float] | Grid  # one for all pixels, or one for each

_CANVAS_PX = 2 * SIDE_PX  # drawn at twice the size, so that edges come out smooth
_Y, _X = (np.mgrid[0:_CANVAS_PX, 0:_CANVAS_PX].astype(np.float32) + 0.5) * (2 / _CANVAS_PX) - 1
_LIGHT = np.array([-0.45, -0.6, 0.66], np.float32)  # from the upper left, and from the front
_HALFWAY = np.array([-0.25, -0.33, 0.91], np.float32)  # between the light and the eye
_BROWN, _GREEN = (96, 66, 36), (74, 140, 52)


def draw(folder: Path, labels: int = 12, images_per_label: int = 20) -> int:
    """Draws what is missing of `images_per_label` pictures of each of the first `labels` fruits; returns how many that were.

    About 5 ms a picture. A file that is there is left as it is, so that asking for more adds only those.
    Raises WrongUsage, AccessDenied.
    """
    if not 1 <= labels <= len(FRUITS):
        raise WrongUsage(f"{labels} labels: there are 1 to {len(FRUITS)} kinds of fruit to draw")
    if images_per_label < 1:
        raise WrongUsage(f"{images_per_label} images per label: at least 1 is drawn")
    names = list(FRUITS)[:labels]
    wanted = [(name, number, folder / name / f"{number:04d}.jpg") for name in names for number in range(images_per_label)]
    missing = [(name, number, path) for name, number, path in wanted if not os.path.exists(path)]
    for name, number, path in missing:
        objects.write(objects.canonical(str(path)), jpeg(name, number))
    return len(missing)


def jpeg(label: str, number: int) -> bytes:
    """The bytes of one picture, a JPEG of 100 x 100 pixels."""
    rng = np.random.default_rng([list(FRUITS).index(label), number])
    canvas = _Canvas(rng)
    FRUITS[label](canvas, rng)
    buffer = io.BytesIO()
    canvas.image().save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


class _Canvas:
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


def _ball(canvas: _Canvas, x: float = 0, y: float = 0, width: float = 1, height: float = 1) -> Grid:
    return np.hypot((canvas.x - x) / width, (canvas.y - y) / height)


def _melted(*shapes: Grid) -> Grid:
    """One body out of several, with smooth necks between them."""
    swelling: Grid = np.sum([shape**-4 for shape in shapes], axis=0)
    return swelling**-0.25


def _stick(canvas: _Canvas, start: tuple[float, float], end: tuple[float, float], thickness: float) -> Grid:
    across, along = end[0] - start[0], end[1] - start[1]
    x, y = canvas.x - start[0], canvas.y - start[1]
    share = np.clip((x * across + y * along) / (across**2 + along**2), 0, 1)
    return np.hypot(x - share * across, y - share * along) / thickness


def _leaf(canvas: _Canvas, x: float, y: float, angle: float, length: float) -> Grid:
    """A lens that begins at a point and lies at an angle to the right."""
    along = ((canvas.x - x) * np.cos(angle) + (canvas.y - y) * np.sin(angle)) / length
    across = ((canvas.y - y) * np.cos(angle) - (canvas.x - x) * np.sin(angle)) / length
    lens: Grid = np.hypot(2 * along - 1, across * 4) + 0.6 * np.abs(2 * along - 1) * np.abs(across * 4)
    return lens


# Surfaces.


def _mix(first: Colour, second: Colour, share: Grid) -> Grid:
    start, end = np.asarray(first, np.float32), np.asarray(second, np.float32)
    mixed: Grid = start + (end - start) * np.clip(share, 0, 1)[..., None]
    return mixed


def _tint(rng: np.random.Generator, colour: tuple[float, float, float]) -> Grid:
    """No two fruits have quite the same colour."""
    return np.asarray(colour, np.float32) * rng.uniform(0.92, 1.06, 3).astype(np.float32)


def _noise(rng: np.random.Generator, cells: int) -> Grid:
    """Smooth noise between about 0 and 1, with so many bumps across the canvas."""
    coarse = Image.fromarray(rng.random((cells, cells), np.float32))
    return np.asarray(coarse.resize((_CANVAS_PX, _CANVAS_PX), Image.Resampling.BICUBIC))


def _turned(canvas: _Canvas) -> Grid:
    """The angle around the middle, 0 at the top."""
    return np.arctan2(canvas.x, -canvas.y)


# Fruits.


def _apple(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.paint(_leaf(canvas, 0.02, -0.82, -0.5, 0.42), _GREEN, 0.2, depth=0.1)
    angle = _turned(canvas)
    radius = 0.92 - 0.26 * np.exp(-((angle / 0.42) ** 2)) - 0.06 * np.cos(2 * angle)
    streaks = np.sin(np.arctan2(canvas.x, canvas.y + 0.62) * 21 + 5 * _noise(rng, 7))  # from the stem down
    skin = _mix(_tint(rng, (190, 22, 34)), (232, 150, 60), (0.4 + 0.4 * streaks) * (_noise(rng, 5) - 0.1))
    canvas.paint(np.hypot(canvas.x, canvas.y) / radius, skin, 0.7)
    canvas.paint(_stick(canvas, (0, -0.58), (0.08, -0.98), 0.05), _BROWN, 0.1)


def _banana(canvas: _Canvas, rng: np.random.Generator) -> None:
    bend = rng.uniform(0.9, 1.15)
    x, y = canvas.x, canvas.y + bend * 0.75
    angle, radius = np.arctan2(x, y) * bend, np.hypot(x, y)
    width = 0.3 * np.sqrt(np.maximum(1.02 - (angle / 0.95) ** 2, 0.01)) + 0.03
    edge = np.maximum(np.abs(radius - bend) / width, np.abs(angle) / 1.08)
    spots = (np.abs(angle) - 0.86) * 9 + np.maximum(_noise(rng, 22) - 0.86, 0) * 6
    skin = _mix(_tint(rng, (245, 208, 52)), (92, 66, 30), spots)
    canvas.paint(edge, skin, 0.25, relief=0.03 * np.abs(np.sin((radius - bend) * 9)), depth=0.4)


def _cherry(canvas: _Canvas, rng: np.random.Generator) -> None:
    top = (rng.uniform(-0.1, 0.2), -0.92)
    canvas.paint(_leaf(canvas, *top, 0.35, 0.75), _GREEN, 0.3, depth=0.1)
    for x, y in ((-0.43, 0.36), (0.43, 0.42 + rng.uniform(-0.12, 0.12))):
        canvas.paint(_ball(canvas, x, y, 0.4, 0.38), _tint(rng, (150, 8, 30)), 1, depth=0.5)
        canvas.paint(_stick(canvas, (x, y - 0.31), top, 0.035), (110, 140, 50), 0.1, depth=0.1)


def _grapes(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.paint(_stick(canvas, (0, -0.6), (0.08, -1.02), 0.05), _BROWN, 0.1, depth=0.1)
    berries = [(column - row / 2, row) for row in (4, 3, 2, 1) for column in range(row + 1)]
    for column, row in berries:
        x, y = 0.29 * column + rng.uniform(-0.04, 0.04), 0.87 - 0.33 * (row + 0.5) + rng.uniform(-0.04, 0.04)
        canvas.paint(_ball(canvas, x, y, 0.22, 0.23), _tint(rng, (62, 52, 118)), 0.6, depth=0.3)
    canvas.paint(_ball(canvas, 0, 0.76, 0.21, 0.23), _tint(rng, (62, 52, 118)), 0.6, depth=0.3)


def _kiwi(canvas: _Canvas, rng: np.random.Generator) -> None:
    distance, angle = np.hypot(canvas.x, canvas.y * rng.uniform(1, 1.12)) / 0.95, _turned(canvas)
    rays = 0.5 + 0.5 * np.cos(angle * 26 + 2 * _noise(rng, 4))
    flesh = _mix(_tint(rng, (120, 170, 40)), (176, 206, 88), rays * (1.1 - distance))
    flesh = _mix(flesh, (232, 232, 190), (0.3 - distance) * 12)
    flesh = _mix(flesh, (28, 22, 18), np.minimum((rays - 0.55) * 6, (0.08 - np.abs(distance - 0.42)) * 40))
    canvas.paint(distance, _mix(flesh, (112, 82, 46), (distance - 0.9) * 40), 0.15, 0.01 * _noise(rng, 60), depth=0.3)


def _lemon(canvas: _Canvas, rng: np.random.Generator) -> None:
    body = _melted(_ball(canvas, 0, 0, 0.62, 0.78), _ball(canvas, 0, -0.78, 0.15, 0.2), _ball(canvas, 0, 0.78, 0.13, 0.17))
    skin = _mix(_tint(rng, (240, 214, 40)), (206, 200, 60), np.abs(canvas.y) - 0.45)
    canvas.paint(body, skin, 0.45, relief=0.03 * _noise(rng, 44), depth=0.7)


def _orange(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.paint(_ball(canvas, 0, 0, 0.97, 0.93), _tint(rng, (240, 132, 18)), 0.45, relief=0.035 * _noise(rng, 50))
    x, y = rng.uniform(-0.4, 0.4, 2)
    star = _ball(canvas, x, y, 0.12, 0.12) / (0.75 + 0.25 * np.cos(5 * np.arctan2(canvas.x - x, canvas.y - y)))
    canvas.paint(star, (108, 124, 52), 0.1, depth=0.08)


def _pear(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.paint(_stick(canvas, (0, -0.75), (0.12, -1.02), 0.05), _BROWN, 0.1)
    body = _melted(_ball(canvas, 0, 0.33, 0.62, 0.6), _ball(canvas, rng.uniform(-0.06, 0.06), -0.42, 0.3, 0.42))
    skin = _mix(_tint(rng, (188, 190, 70)), (206, 130, 70), (canvas.x + 0.4 * _noise(rng, 5)) * 0.9)
    canvas.paint(body, _mix(skin, (120, 96, 48), (_noise(rng, 70) - 0.8) * 4), 0.4, depth=0.7)


def _pineapple(canvas: _Canvas, rng: np.random.Generator) -> None:
    for lean in (-0.95, 0.95, -0.6, 0.6, -0.25, 0.25, 0):
        canvas.paint(_leaf(canvas, 0, -0.2, lean - np.pi / 2, rng.uniform(0.75, 0.88)), _tint(rng, (70, 128, 70)), 0.2, depth=0.1)
    scales = np.sin((canvas.x + canvas.y) * 15) * np.sin((canvas.x - canvas.y) * 15)
    skin = _mix(_tint(rng, (206, 140, 40)), (110, 74, 30), 1 - 2.2 * np.abs(scales))
    canvas.paint(_ball(canvas, 0, 0.35, 0.5, 0.66), skin, 0.2, relief=0.05 * np.abs(scales), depth=0.55)


def _starfruit(canvas: _Canvas, rng: np.random.Generator) -> None:
    distance, angle = np.hypot(canvas.x, canvas.y), _turned(canvas)
    point = np.abs((angle * 5 / (2 * np.pi) + 0.5) % 1 - 0.5) * 2  # 0 along the points, 1 between them
    radius = 0.98 - 0.56 * point**0.7
    flesh = _mix(_tint(rng, (226, 208, 84)), (150, 160, 44), (distance / radius - 0.8) * 4)
    flesh = _mix(flesh, (246, 240, 190), (0.16 - distance) * 8)
    canvas.paint(distance / radius, flesh, 0.4, relief=0.12 * (1 - point), depth=0.25)


def _strawberry(canvas: _Canvas, rng: np.random.Generator) -> None:
    body = np.hypot(canvas.x / np.maximum(0.8 - 0.36 * canvas.y, 0.1), canvas.y / 0.95)
    across, along = canvas.x * 7, canvas.y * 8
    seeds = np.hypot((across + np.floor(along) % 2 / 2) % 1 - 0.5, (along % 1 - 0.5) * 0.7)
    skin = _mix(_tint(rng, (214, 26, 40)), (240, 206, 110), (0.2 - seeds) * 9)
    canvas.paint(body, skin, 0.6, relief=0.025 * np.minimum(seeds * 3, 1), depth=0.8)
    for lean in np.linspace(0.25, np.pi - 0.25, 5):
        canvas.paint(_leaf(canvas, 0, -0.86, lean + rng.uniform(-0.1, 0.1), 0.5), _tint(rng, _GREEN), 0.2, depth=0.1)


def _watermelon(canvas: _Canvas, rng: np.random.Generator) -> None:
    edge = _ball(canvas, 0, 0, 0.97, rng.uniform(0.82, 0.92))
    meridian = np.arcsin(np.clip(canvas.y / np.sqrt(np.maximum(1 - canvas.x**2, 0.02)), -1, 1))
    stripes = np.sin(meridian * 8 + rng.uniform(0, 6) + 1.6 * _noise(rng, 12))
    canvas.paint(edge, _mix(_tint(rng, (38, 84, 36)), (150, 186, 96), stripes * 1.6 - 0.1), 0.5)


FRUITS: dict[str, Callable[[_Canvas, np.random.Generator], None]] = {
    "Apple Red": _apple,
    "Banana": _banana,
    "Kiwi": _kiwi,
    "Orange": _orange,
    "Strawberry": _strawberry,
    "Watermelon": _watermelon,
    "Grape Blue": _grapes,
    "Lemon": _lemon,
    "Pear": _pear,
    "Cherry": _cherry,
    "Pineapple": _pineapple,
    "Carambola": _starfruit,
}
