"""How far pictures differ as a person sees them: by what is left of each at 16 x 16 px, brightness and contrast taken off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fruitpipe.pictures import colours, decoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE_PX = 16
MARGINS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)  # of width and height, cut off at each side: a copy may be cropped
SHAPE = (len(MARGINS), SIDE_PX * SIDE_PX * 3)
LARGEST_PX = 128  # of the side that is decoded to
FLAT = 1.0  # levels of standard deviation below which a picture counts as of one grey
SOME = 1_024  # pairs whose pixels are held at a time: 60 MB
BLOCKS = 4  # each way, whose means alone tell most pairs apart
ROUNDING = 1e-4  # more than a difference in float32 is off by


def shrunk(body: bytes) -> bytes | None:
    """The (6, 768) values of a picture, whole and with each of MARGINS cut off; None for bytes that are no picture."""
    try:
        with decoding.opened(decoding.prepared(body)) as image:
            image.thumbnail((LARGEST_PX, LARGEST_PX))  # which has a JPEG decoded at a fraction of its size
            seen = decoding.turned(colours.as_seen(image), decoding.turn_of(image))
            return b"".join(_within(seen, margin) for margin in MARGINS)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - one picture, overwritten since, must not stop the others
        return None


def _within(image: Image.Image, margin: float) -> bytes:
    box = (margin * image.width, margin * image.height, (1 - margin) * image.width, (1 - margin) * image.height)
    return image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, box).tobytes()


def alike(
    pictures: NDArray[np.uint8], first: NDArray[np.intp], second: NDArray[np.intp], most: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """The pairs whose `differences` are `most` at most: numbers of the first and of the second picture, and the differences.

    Means over 4 x 4 px never differ by more than the pixels do, so pairs whose means differ by more are not looked at further.
    """
    means = _means(pictures)
    maybe = [
        start + np.flatnonzero(_differences(means[first[some]], means[second[some]]) <= most + ROUNDING)
        for start in range(0, len(first), SOME)
        for some in [slice(start, start + SOME)]
    ]
    pairs = np.concatenate(maybe) if maybe else np.empty(0, np.intp)
    apart = differences(pictures, first[pairs], second[pairs])
    pairs, apart = pairs[apart <= most], apart[apart <= most]
    return first[pairs], second[pairs], apart


def _means(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 6, 48): of `_even` pictures the means of BLOCKS x BLOCKS blocks, times the root of a block's pixels.

    These are coordinates along orthonormal directions, so a distance between them is never longer than between the pictures.
    """
    block = SIDE_PX // BLOCKS
    found = np.empty((len(pictures), len(MARGINS), BLOCKS * BLOCKS * 3), np.float32)
    for start in range(0, len(pictures), SOME):
        even = _even(pictures[start : start + SOME])
        blocks = even.reshape(len(even), len(MARGINS), BLOCKS, block, BLOCKS, block, 3)
        found[start : start + SOME] = blocks.mean(axis=(3, 5)).reshape(len(even), len(MARGINS), -1) * block
    return found


def differences(pictures: NDArray[np.uint8], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of pairs among (n, 6, 768) shrunk pictures, by their numbers: (2 - 2 r)^½, r the correlation of their pixels.

    The least of both as a whole, and of each as a whole with the other less a margin. 0 for the same, 1.41 for what has nothing
    in common. Two pictures of one grey each are the same.
    """
    found = np.empty(len(first))
    for start in range(0, len(first), SOME):
        some = slice(start, start + SOME)
        found[some] = _differences(_even(pictures[first[some]]), _even(pictures[second[some]]))
    return found


def _differences(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    pairs = [(0, margin) for margin in range(len(MARGINS))] + [(margin, 0) for margin in range(1, len(MARGINS))]
    apart = [np.linalg.norm(one[:, cut] - other[:, cut_other], axis=1) for cut, cut_other in pairs]
    least: NDArray[np.float64] = np.min(apart, axis=0)
    return least


def _even(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each picture with mean 0 and length 1, so that neither brightness nor contrast counts."""
    centred = pictures - pictures.mean(axis=-1, keepdims=True, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ijk,ijk->ij", centred, centred))[..., np.newaxis]
    even: NDArray[np.float32] = centred / np.maximum(lengths, FLAT * np.float32(SHAPE[1] ** 0.5))
    return even
