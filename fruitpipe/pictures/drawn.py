"""Draws a labelled data set, so that the pipeline can be tried without one: shaded, turned fruit on white, as in Fruits-360.

Each picture is drawn from its label and number alone: the same bytes on every run, however many are asked for. NumPy and
Pillow only.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fruitpipe import objects
from fruitpipe.errors import WrongUsage
from fruitpipe.pictures.painting import Canvas, ball, leaf, melted, mix, noise, stick, tint, turned

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
    canvas = Canvas(rng)
    FRUITS[label](canvas, rng)
    buffer = io.BytesIO()
    canvas.image().save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _apple(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.paint(leaf(canvas, 0.02, -0.82, -0.5, 0.42), _GREEN, 0.2, depth=0.1)
    angle = turned(canvas)
    radius = 0.92 - 0.26 * np.exp(-((angle / 0.42) ** 2)) - 0.06 * np.cos(2 * angle)
    streaks = np.sin(np.arctan2(canvas.x, canvas.y + 0.62) * 21 + 5 * noise(rng, 7))  # from the stem down
    skin = mix(tint(rng, (190, 22, 34)), (232, 150, 60), (0.4 + 0.4 * streaks) * (noise(rng, 5) - 0.1))
    canvas.paint(np.hypot(canvas.x, canvas.y) / radius, skin, 0.7)
    canvas.paint(stick(canvas, (0, -0.58), (0.08, -0.98), 0.05), _BROWN, 0.1)


def _banana(canvas: Canvas, rng: np.random.Generator) -> None:
    bend = rng.uniform(0.9, 1.15)
    x, y = canvas.x, canvas.y + bend * 0.75
    angle, radius = np.arctan2(x, y) * bend, np.hypot(x, y)
    width = 0.3 * np.sqrt(np.maximum(1.02 - (angle / 0.95) ** 2, 0.01)) + 0.03
    edge = np.maximum(np.abs(radius - bend) / width, np.abs(angle) / 1.08)
    spots = (np.abs(angle) - 0.86) * 9 + np.maximum(noise(rng, 22) - 0.86, 0) * 6
    skin = mix(tint(rng, (245, 208, 52)), (92, 66, 30), spots)
    canvas.paint(edge, skin, 0.25, relief=0.03 * np.abs(np.sin((radius - bend) * 9)), depth=0.4)


def _cherry(canvas: Canvas, rng: np.random.Generator) -> None:
    top = (rng.uniform(-0.1, 0.2), -0.92)
    canvas.paint(leaf(canvas, *top, 0.35, 0.75), _GREEN, 0.3, depth=0.1)
    for x, y in ((-0.43, 0.36), (0.43, 0.42 + rng.uniform(-0.12, 0.12))):
        canvas.paint(ball(canvas, x, y, 0.4, 0.38), tint(rng, (150, 8, 30)), 1, depth=0.5)
        canvas.paint(stick(canvas, (x, y - 0.31), top, 0.035), (110, 140, 50), 0.1, depth=0.1)


def _grapes(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.paint(stick(canvas, (0, -0.6), (0.08, -1.02), 0.05), _BROWN, 0.1, depth=0.1)
    berries = [(column - row / 2, row) for row in (4, 3, 2, 1) for column in range(row + 1)]
    for column, row in berries:
        x, y = 0.29 * column + rng.uniform(-0.04, 0.04), 0.87 - 0.33 * (row + 0.5) + rng.uniform(-0.04, 0.04)
        canvas.paint(ball(canvas, x, y, 0.22, 0.23), tint(rng, (62, 52, 118)), 0.6, depth=0.3)
    canvas.paint(ball(canvas, 0, 0.76, 0.21, 0.23), tint(rng, (62, 52, 118)), 0.6, depth=0.3)


def _kiwi(canvas: Canvas, rng: np.random.Generator) -> None:
    distance, angle = np.hypot(canvas.x, canvas.y * rng.uniform(1, 1.12)) / 0.95, turned(canvas)
    rays = 0.5 + 0.5 * np.cos(angle * 26 + 2 * noise(rng, 4))
    flesh = mix(tint(rng, (120, 170, 40)), (176, 206, 88), rays * (1.1 - distance))
    flesh = mix(flesh, (232, 232, 190), (0.3 - distance) * 12)
    flesh = mix(flesh, (28, 22, 18), np.minimum((rays - 0.55) * 6, (0.08 - np.abs(distance - 0.42)) * 40))
    canvas.paint(distance, mix(flesh, (112, 82, 46), (distance - 0.9) * 40), 0.15, 0.01 * noise(rng, 60), depth=0.3)


def _lemon(canvas: Canvas, rng: np.random.Generator) -> None:
    body = melted(ball(canvas, 0, 0, 0.62, 0.78), ball(canvas, 0, -0.78, 0.15, 0.2), ball(canvas, 0, 0.78, 0.13, 0.17))
    skin = mix(tint(rng, (240, 214, 40)), (206, 200, 60), np.abs(canvas.y) - 0.45)
    canvas.paint(body, skin, 0.45, relief=0.03 * noise(rng, 44), depth=0.7)


def _orange(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.paint(ball(canvas, 0, 0, 0.97, 0.93), tint(rng, (240, 132, 18)), 0.45, relief=0.035 * noise(rng, 50))
    x, y = rng.uniform(-0.4, 0.4, 2)
    star = ball(canvas, x, y, 0.12, 0.12) / (0.75 + 0.25 * np.cos(5 * np.arctan2(canvas.x - x, canvas.y - y)))
    canvas.paint(star, (108, 124, 52), 0.1, depth=0.08)


def _pear(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.paint(stick(canvas, (0, -0.75), (0.12, -1.02), 0.05), _BROWN, 0.1)
    body = melted(ball(canvas, 0, 0.33, 0.62, 0.6), ball(canvas, rng.uniform(-0.06, 0.06), -0.42, 0.3, 0.42))
    skin = mix(tint(rng, (188, 190, 70)), (206, 130, 70), (canvas.x + 0.4 * noise(rng, 5)) * 0.9)
    canvas.paint(body, mix(skin, (120, 96, 48), (noise(rng, 70) - 0.8) * 4), 0.4, depth=0.7)


def _pineapple(canvas: Canvas, rng: np.random.Generator) -> None:
    for lean in (-0.95, 0.95, -0.6, 0.6, -0.25, 0.25, 0):
        canvas.paint(leaf(canvas, 0, -0.2, lean - np.pi / 2, rng.uniform(0.75, 0.88)), tint(rng, (70, 128, 70)), 0.2, depth=0.1)
    scales = np.sin((canvas.x + canvas.y) * 15) * np.sin((canvas.x - canvas.y) * 15)
    skin = mix(tint(rng, (206, 140, 40)), (110, 74, 30), 1 - 2.2 * np.abs(scales))
    canvas.paint(ball(canvas, 0, 0.35, 0.5, 0.66), skin, 0.2, relief=0.05 * np.abs(scales), depth=0.55)


def _starfruit(canvas: Canvas, rng: np.random.Generator) -> None:
    distance, angle = np.hypot(canvas.x, canvas.y), turned(canvas)
    point = np.abs((angle * 5 / (2 * np.pi) + 0.5) % 1 - 0.5) * 2  # 0 along the points, 1 between them
    radius = 0.98 - 0.56 * point**0.7
    flesh = mix(tint(rng, (226, 208, 84)), (150, 160, 44), (distance / radius - 0.8) * 4)
    flesh = mix(flesh, (246, 240, 190), (0.16 - distance) * 8)
    canvas.paint(distance / radius, flesh, 0.4, relief=0.12 * (1 - point), depth=0.25)


def _strawberry(canvas: Canvas, rng: np.random.Generator) -> None:
    body = np.hypot(canvas.x / np.maximum(0.8 - 0.36 * canvas.y, 0.1), canvas.y / 0.95)
    across, along = canvas.x * 7, canvas.y * 8
    seeds = np.hypot((across + np.floor(along) % 2 / 2) % 1 - 0.5, (along % 1 - 0.5) * 0.7)
    skin = mix(tint(rng, (214, 26, 40)), (240, 206, 110), (0.2 - seeds) * 9)
    canvas.paint(body, skin, 0.6, relief=0.025 * np.minimum(seeds * 3, 1), depth=0.8)
    for lean in np.linspace(0.25, np.pi - 0.25, 5):
        canvas.paint(leaf(canvas, 0, -0.86, lean + rng.uniform(-0.1, 0.1), 0.5), tint(rng, _GREEN), 0.2, depth=0.1)


def _watermelon(canvas: Canvas, rng: np.random.Generator) -> None:
    edge = ball(canvas, 0, 0, 0.97, rng.uniform(0.82, 0.92))
    meridian = np.arcsin(np.clip(canvas.y / np.sqrt(np.maximum(1 - canvas.x**2, 0.02)), -1, 1))
    stripes = np.sin(meridian * 8 + rng.uniform(0, 6) + 1.6 * noise(rng, 12))
    canvas.paint(edge, mix(tint(rng, (38, 84, 36)), (150, 186, 96), stripes * 1.6 - 0.1), 0.5)


FRUITS: dict[str, Callable[[Canvas, np.random.Generator], None]] = {
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
