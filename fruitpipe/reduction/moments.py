"""Count, mean and centred second moment of rows, mergeable in any order: all that a scaler and a PCA need to know.

NumPy only, float64 throughout. The pairwise update is that of Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances" (1979), written for matrices. Rows are centred on their own mean before they are
squared, so columns from 1e-8 to 1e8 keep their digits; the textbook E[xy] - E[x]E[y] would lose them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_ROWS = 2048  # 21 MB in float64 at 1280 columns; smaller blocks would spend their time on merging


def check_columns(rows: NDArray[Any], columns: int) -> None:
    """Raises ValueError where `rows` has another shape than (n, columns)."""
    if rows.ndim != 2 or rows.shape[1] != columns:  # noqa: PLR2004 - rows and columns
        raise ValueError(f"features have the shape {rows.shape}; (n, {columns}) is expected")


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of `count` rows of d columns.

    count: number of rows. mean: (d,) float64. m2: (d, d) float64, symmetric, the sum of (x - mean)(x - mean)ᵀ over the rows.
    A column whose values are all equal has a row and a column of exact zeros in `m2`, however the rows were split: there is
    no cut-off below which a column counts as constant.
    """

    count: int
    mean: Floats
    m2: Floats

    @classmethod
    def zero(cls, dimensions: int) -> Moments:
        """The moments of no rows: merging them changes nothing."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @classmethod
    def of(cls, rows: NDArray[Any]) -> Moments:
        """The moments of `rows`, (n, d) of any float type.

        Costs n · d² multiplications (30 µs a row at d = 1280, one thread) and 21 MB of scratch, whatever n.
        Raises ValueError for a row that holds a NaN or an infinity: one would spoil every later result.
        """
        moments = cls.zero(rows.shape[1])
        for start in range(0, len(rows), BLOCK_ROWS):
            moments = moments.merge(_of_block(rows[start : start + BLOCK_ROWS].astype(np.float64), start))
        return moments

    @property
    def dimensions(self) -> int:
        """The number of columns, d."""
        return len(self.mean)

    @property
    def variances(self) -> Floats:
        """Per column, (d,): the sample variance, with n - 1 in the denominator. Needs two rows."""
        return np.diag(self.m2) / (self.count - 1)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of rows together. Exact to rounding, and costs d², not rows."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        step = other.mean - self.mean
        m2 = self.m2 + other.m2 + np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), m2)

    def subtract(self, other: Moments) -> Moments:
        """The moments without the rows of `other`, which must be among these.

        Subtraction cancels digits: ask `cancellation` how many before the result is used.
        Raises ValueError where `other` counts more rows than there are.
        """
        count = self.count - other.count
        if count < 0:
            raise ValueError(f"cannot take {other.count} rows from {self.count}")
        if not count or not other.count:
            return self if count else Moments.zero(self.dimensions)
        step = self.mean - other.mean
        m2 = self.m2 - other.m2 - np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), m2)

    def cancellation(self, after: Moments) -> float:
        """The factor by which the relative rounding error grew when rows were taken from these to give `after`.

        The largest ratio, before to after, of the row count and of any column's second moment; infinite where a column lost all
        its variance, because what is left of it is rounding and not the exact zero of a constant column.
        """
        before, left = np.diag(self.m2), np.diag(after.m2)
        live = before > 0
        if not after.count or np.any(left[live] <= 0):
            return float("inf")
        return float(max(self.count / after.count, np.max(before[live] / left[live], initial=1.0)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, what `from_arrays` takes: the form in which moments are stored."""
        return {"count": np.array(self.count), "mean": self.mean, "m2": self.m2}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Moments:
        """The moments that `arrays` were made of."""
        return cls(int(arrays["count"]), arrays["mean"], arrays["m2"])

    def to_bytes(self) -> bytes:
        """The moments as the bytes of an .npz file: 8 · d² + 8 · d, 13 MB at d = 1280."""
        return npz(self.arrays())

    @classmethod
    def from_bytes(cls, body: bytes) -> Moments:
        """The moments that `to_bytes` wrote, bit for bit."""
        return cls.from_arrays(un_npz(body))


def finite_rows(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of (n, d) rows, (n,), hold neither a NaN nor an infinity."""
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(rows), axis=1)
    return finite


def npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Named arrays as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes each name for a flag
    return buffer.getvalue()


def un_npz(body: bytes) -> dict[str, NDArray[Any]]:
    """The named arrays in the bytes of an .npz file. Refuses pickled objects, which could run code."""
    with np.load(io.BytesIO(body), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _of_block(block: Floats, first_row: int) -> Moments:
    """The moments of (n, d) float64; `block` is used as scratch.

    It is first shifted by one of its own rows: equal values become exact zeros, which the mean of equal values, being rounded,
    need not do.
    """
    _check_finite(block, first_row)
    shift = block[0].copy()
    block -= shift
    mean = block.mean(axis=0)
    block -= mean
    return Moments(len(block), shift + mean, block.T @ block)


def _check_finite(block: Floats, first_row: int) -> None:
    bad = ~finite_rows(block)
    if bad.any():
        row = first_row + int(bad.argmax())
        raise ValueError(
            f"{int(bad.sum())} of {len(block)} rows hold a NaN or an infinity, row {row} first; set them aside before"
        )
