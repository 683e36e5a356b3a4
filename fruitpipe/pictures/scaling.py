"""Photographs decoded at a fraction of their size, and the resampling that makes up for it. Pillow and NumPy only.

libjpeg can give a half, a quarter or an eighth of a JPEG's size, each pixel the mean of those that it stands for, at a third of
the work or less. Pillow's bicubic of such a picture is another filter than that of the full one. The one here is made for the
fraction: of all weights for the scaled pixels, those that come nearest to bicubic weights for the full ones, by least squares.

Products and sums are whole numbers that floats hold exactly, so each machine gives the same pixels, whatever its BLAS.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image
    from PIL.ImageFile import ImageFile

    from fruitpipe.pictures.preprocessing import Preprocessing

    Floats = npt.NDArray[Any]

SIDE_PX = 224  # height and width of the pictures that the network takes; for any other network nothing is scaled (`is_in_full`)
LEAST_SIDE_PX = 3 * SIDE_PX  # of a scaled picture; with two pixels for one of the network's, cosines fall below 0.999
DIVISORS = (8, 4, 2)  # libjpeg has others, but without vector instructions, which takes longer than the full size
LARGE_FROM_PX = LEAST_SIDE_PX * min(DIVISORS)  # shorter side from which on a picture is large: 1344
BICUBIC, SUPPORT = -0.5, 2  # Pillow's parameter, and its reach in pixels of the smaller picture
SMOOTHNESS_PX = 1000.0  # two pixels' likeness falls by e over so many; what matters is that it is far more than one
MARGIN = 4  # scaled pixels on both sides of the bicubic's reach
GROUPS = 14  # of neighbouring rows, which are computed together from the pixels that they reach
STEPS = 2**15  # of a weight: 255 x STEPS x the sum of a row's absolute weights (below 2) is a whole number for a float32


@dataclass(frozen=True)
class Rows:
    """Neighbouring rows of a matrix. weights: (rows, columns) whole numbers; other columns are zero."""

    rows: slice
    columns: slice
    weights: Floats


def is_in_full(preprocessing: Preprocessing, *, asked: bool) -> bool:
    """Whether large JPEGs are decoded at their full size: where that was `asked` for, and for networks of another size.

    For another network pictures would be large from another size on. Who reads a row of the table knows its width and height, and
    not the network.
    """
    return asked or (preprocessing.height_px, preprocessing.width_px) != (SIDE_PX, SIDE_PX)


def divisor(width: int, height: int, *, is_converted: bool = False) -> int:
    """8, 4 or 2, the largest with which the shorter side keeps LEAST_SIDE_PX; else 1.

    is_converted: whether a colour profile is applied to the scaled picture, which then has twice the side, see `halved`.
    """
    least = LEAST_SIDE_PX * (1 + is_converted)
    return next((some for some in DIVISORS if min(width, height) >= least * some), 1)


def is_large(width: int, height: int) -> bool:
    """Whether a picture of this size is large: a JPEG is then decoded at a fraction of it."""
    return min(width, height) >= LARGE_FROM_PX


def draft(image: ImageFile, by: int) -> None:
    """Has an opened JPEG, whose pixels are not decoded yet, decoded at a fraction of its size, its modes as they are."""
    if by > 1:
        image.draft(None, (image.width // by, image.height // by))


def halved(image: Image.Image) -> Image.Image:
    """Half the rows, each the mean of two, for a picture whose colours are to be converted: that takes longer than decoding.

    What means are converted to is not the mean of what is converted, least of all where colours lie outside sRGB. So the columns
    stay: with half of both, a photograph of a white flower in Display P3 falls below a cosine of 0.999.
    """
    return image.reduce((1, 2))


def resample(image: Image.Image, size: tuple[int, int], by: tuple[int, int], side: int) -> npt.NDArray[np.uint8]:
    """What bicubic resampling of the full picture to (side, side) gives, but from a scaled one; (side, side, 3), RGB.

    size: of the full one in px, width first. by: how many times less wide and high `image` is, in mode RGB. 3 ms for 1000 x 750.
    """
    pixels = np.asarray(image)
    tall = np.empty((side, pixels.shape[1] * 3), np.float32)
    for part in _groups(size[1], by[1], side):
        below = pixels[part.columns].reshape(part.weights.shape[1], -1)
        np.matmul(part.weights, below.astype(np.float32), out=tall[part.rows])
    wide = np.ascontiguousarray(_turned(tall, side), np.float64).reshape(-1, side * 3)
    small = np.empty((side, side * 3), np.float64)
    for part in _groups(size[0], by[0], side):
        np.matmul(part.weights.astype(np.float64), wide[part.columns], out=small[part.rows])
    return np.clip(np.rint(_turned(small, side) / STEPS**2), 0, 255).astype(np.uint8)


def _turned(flat: Floats, rows: int) -> Floats:
    """(rows, columns * 3) with rows and columns exchanged: (columns, rows, 3)."""
    turned: Floats = flat.reshape(rows, -1, 3).transpose(1, 0, 2)
    return turned


@lru_cache(maxsize=64)
def _groups(length: int, by: int, side: int) -> tuple[Rows, ...]:
    """The weights for one direction of a picture of `length` full pixels, in whole numbers, in groups of rows. 3 ms."""
    weights = _whole(_weights(length, by, side))
    found = []
    for rows in np.array_split(np.arange(side), GROUPS):
        used = np.flatnonzero(weights[rows].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1)
        found.append(Rows(slice(int(rows[0]), int(rows[-1]) + 1), columns, weights[rows][:, columns].astype(np.float32)))
    return tuple(found)


def _whole(weights: Floats) -> Floats:
    """Multiples of 1 / STEPS, each row's sum 1: a flat picture stays as it is."""
    whole: Floats = np.rint(weights * STEPS)
    whole[np.arange(len(whole)), whole.argmax(axis=1)] += STEPS - whole.sum(axis=1)
    return whole


def _weights(length: int, by: int, side: int) -> Floats:
    """(side, scaled pixels): for each pixel of the result, the weights of those scaled ones that lie around it.

    Least squares in closed form: if c is how alike two full pixels are by their distance, and D takes means of `by` pixels, then
    b c Dᵀ (D c Dᵀ)⁻¹ are the weights of the scaled pixels that come nearest to weights b of the full ones.
    """
    scaled = -(-length // by)
    window = min(int(np.ceil(2 * SUPPORT * length / side / by)) + 2 * MARGIN, scaled)
    nearest = _nearest(window, by)
    weights = np.zeros((side, scaled))
    for row in range(side):
        first, bicubic = _bicubic(length, side, row)
        begin = int(np.clip(round((first + len(bicubic) / 2) / by - window / 2), 0, scaled - window))
        full = np.zeros(window * by)
        full[first - begin * by :][: len(bicubic)] = bicubic
        weights[row, begin : begin + window] = full @ nearest
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


@lru_cache(maxsize=64)
def _nearest(window: int, by: int) -> Floats:
    """The matrix c Dᵀ (D c Dᵀ)⁻¹ for a run of `window` scaled pixels: (full pixels, scaled pixels)."""
    places = np.arange(window * by)
    alike = np.exp(-np.abs(places[:, np.newaxis] - places) / SMOOTHNESS_PX)
    means = alike.reshape(window * by, window, by).mean(axis=2)
    nearest: Floats = np.linalg.solve(means.reshape(window, by, window).mean(axis=1), means.T).T
    return nearest


def _bicubic(length: int, side: int, row: int) -> tuple[int, Floats]:
    """As Pillow has it: the first full pixel that counts for one of the result, and the weights from there on."""
    scale = length / side
    centre, reach = (row + 0.5) * scale, SUPPORT * scale
    first, end = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), length)
    x = np.abs((np.arange(first, end) - centre + 0.5) / scale)
    near = ((BICUBIC + 2) * x - (BICUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * BICUBIC
    weights = np.where(x < 1, near, np.where(x < SUPPORT, far, 0))
    return first, weights / weights.sum()
