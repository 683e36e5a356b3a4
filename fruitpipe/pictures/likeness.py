"""How far pictures differ as a person sees them: by what is left of each at 16 x 16 px, brightness and contrast taken off."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from fruitpipe.pictures import colours, decoding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Turn(NamedTuple):
    """By how many quarters a picture is turned, against the clock, and whether it is mirrored then, left to right."""

    quarters: int
    mirrored: bool


SIDE_PX = 16
MARGINS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)  # of width and height, cut off at each side: a copy may be cropped
SHAPE = (len(MARGINS), SIDE_PX * SIDE_PX * 3)
LARGEST_PX = 128  # of the side that is decoded to
FLAT = 1.0  # levels of standard deviation below which a picture counts as of one grey
SOME = 1_024  # pairs whose pixels are held at a time: 60 MB
BLOCKS = 4  # each way, whose means alone tell most pairs apart
ROUNDING = 1e-4  # more than a difference in float32 is off by, and than its square as near_turned takes it
TURNS = [Turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)][1:]  # all but leaving it as it is
FAR = 16.0  # more than the square of any difference, of which 2 is the largest
TILE = 1_024  # pictures of each side whose distances are held at a time: 4 MB, and 40 MB where all of them are near


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
    """(n, c, 48): of (n, c, 768) `_even` pictures the means of BLOCKS x BLOCKS blocks, times the root of a block's pixels.

    These are coordinates along orthonormal directions, so a distance between them is never longer than between the pictures.
    """
    block = SIDE_PX // BLOCKS
    cuts = pictures.shape[1]
    found = np.empty((len(pictures), cuts, BLOCKS * BLOCKS * 3), np.float32)
    for start in range(0, len(pictures), SOME):
        even = _even(pictures[start : start + SOME])
        blocks = even.reshape(len(even), cuts, BLOCKS, block, BLOCKS, block, 3)
        found[start : start + SOME] = blocks.mean(axis=(3, 5)).reshape(len(even), cuts, -1) * block
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


def near_turned(pictures: NDArray[np.uint8], most: float) -> Iterator[tuple[Turn, NDArray[np.intp], NDArray[np.intp]]]:
    """Of (n, 768) whole shrunk pictures all pairs that may be alike once the second is turned: the turn, and their numbers.

    Each pair is compared with each of TURNS by means over 4 x 4 px, so none is missed whose `differences_turned` are `most` at
    most; a few others are given, too. Pictures of one grey, which look the same either way, are in no pair.
    Costs 50 n² / 2 multiplications a turn, and 400 bytes a picture; pairs are given as they are found.
    """
    means = _means(pictures[:, np.newaxis])[:, 0]
    squares = np.einsum("ij,ij->i", means, means)[:, np.newaxis]
    squares[_is_flat(pictures)] = FAR
    ones = np.ones_like(squares)
    firsts = np.hstack([means, squares, ones])
    for turn in TURNS:
        seconds = np.hstack([-2 * turned(means, turn), ones, squares])  # so that a product is a squared distance
        for row, column in combinations_with_replacement(range(0, len(means), TILE), 2):
            near = firsts[row : row + TILE] @ seconds[column : column + TILE].T <= (most + ROUNDING) ** 2 + ROUNDING
            first, second = np.divmod(np.flatnonzero(near), near.shape[1])
            each_once = first + row < second + column
            yield turn, first[each_once] + row, second[each_once] + column


def differences_turned(
    pictures: NDArray[np.uint8], first: NDArray[np.intp], second: NDArray[np.intp], turn: Turn
) -> NDArray[np.float32]:
    """As `differences`, of pairs among (n, 768) pictures as a whole, the second turned. At most SOME pairs at a time."""
    one, other = pictures[first], turned(pictures[second], turn)  # turned first, so that the same pixels differ by 0
    apart: NDArray[np.float32] = np.linalg.norm(_even(one[:, np.newaxis]) - _even(other[:, np.newaxis]), axis=2)[:, 0]
    return apart


def turned(pictures: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """(n, side x side x 3) pictures, turned: a shrunk one is square, so it is the picture turned and then shrunk."""
    side = round((pictures.shape[1] / 3) ** 0.5)
    squares = np.rot90(pictures.reshape(-1, side, side, 3), turn.quarters, axes=(1, 2))
    return (squares[:, :, ::-1] if turn.mirrored else squares).reshape(pictures.shape)


def _is_flat(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    some = [pictures[start : start + SOME].std(axis=1, dtype=np.float32) < FLAT for start in range(0, len(pictures), SOME)]
    return np.concatenate(some)


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
