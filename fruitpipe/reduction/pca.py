"""The reduction: StandardScaler and PCA, both fitted from one set of moments, as one linear map.

Standardisation is that of Spark ML's StandardScaler (withMean, withStd, n - 1 in the denominator); the components are the
eigenvectors of the correlation matrix, which is what its PCA finds on standardised rows. NumPy only. A fit costs d³ (0.5 s at
d = 1280) and about 80 MB, whatever the number of rows; a transform costs n · d · k multiplications.

Left out: whitening, and randomised solvers, which would make the choice of k depend on a seed.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.errors import NotEnoughRows, WrongUsage
from fruitpipe.reduction.moments import BLOCK_ROWS, Floats, Moments, check_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARRAYS = ("mean", "scale", "components", "explained_variance_ratio")
# A share of variance is a sum of rounded numbers: 100 % is reached at 1 - 1e-12.
ROUNDING = 1e-12
# Loadings closer to each other than this are a tie, so that rounding never decides a sign.
TIE = 1e-6
# A component follows the previous one that it resembles most, if the angle between them is below 60 degrees.
SAME_DIRECTION = 0.5


@dataclass(frozen=True, eq=False)
class Reduction:
    """A fitted scaler and PCA: d columns in, k out.

    mean, scale: (d,) float64; the scale of a constant column is 0, and it adds nothing to the output.
    components: (k, d) float64, orthonormal rows, by falling variance.
    explained_variance_ratio: (d,) float64, of all components, kept or not; the sum is 1.
    """

    mean: Floats
    scale: Floats
    components: Floats
    explained_variance_ratio: Floats

    @property
    def k(self) -> int:
        """The number of components that are kept."""
        return len(self.components)

    @property
    def variance_kept(self) -> float:
        """The share of the standardised variance, between 0 and 1, that the k components keep."""
        return min(1.0, float(self.explained_variance_ratio[: self.k].sum()))

    @property
    def constant_columns(self) -> int:
        """The number of columns in which all fitted rows were equal."""
        return int((self.scale == 0).sum())

    @property
    def output_variances(self) -> Floats:
        """The sample variance, (k,), that each output column has over the rows of the fit."""
        return self.explained_variance_ratio[: self.k] * (len(self.scale) - self.constant_columns)

    def transform(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """The reduced features, (n, k) float32, of `features`, (n, d) of any float type.

        Computed in float64, in blocks of 2048 rows. Raises ValueError for other than d columns.
        """
        check_columns(features, len(self.mean))
        weights = self._weights()
        reduced = np.empty((len(features), self.k), np.float32)
        for start in range(0, len(features), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            reduced[block] = (features[block] - self.mean) @ weights
        return reduced

    def standardised(self, features: NDArray[Any]) -> Floats:
        """The (n, d) features as the PCA gets them, float64; constant columns are 0. Raises ValueError for another d."""
        check_columns(features, len(self.mean))
        scaled: Floats = (features - self.mean) * self._inverse_scale
        return scaled

    def variance_kept_of(self, moments: Moments) -> float:
        """The share of the standardised variance of other rows, known by their moments, that these components keep.

        The other rows are standardised by their own scale; a column that was constant in the fit and now is not counts as lost.
        """
        correlation, scale, live = _correlation(moments)
        basis, _ = np.linalg.qr(self._weights()[live] * scale[live, np.newaxis])
        return min(1.0, float((basis * (correlation @ basis)).sum()) / len(correlation))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, what `from_arrays` takes: the form in which a reduction is stored."""
        return {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Reduction:
        """The reduction that `arrays` were made of; other names are left alone."""
        return cls(**{name: arrays[name] for name in ARRAYS})

    def explained_variance_csv(self) -> bytes:
        """A line a component: its number from 1, its share of the variance, and the share of all up to it."""
        ratios = np.trim_zeros(self.explained_variance_ratio, "b")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("component", "explained_variance_ratio", "cumulative"))
        for number, (ratio, total) in enumerate(zip(ratios, np.cumsum(ratios), strict=True), start=1):
            writer.writerow((number, float(ratio), float(total)))
        return text.getvalue().encode()

    def _weights(self) -> Floats:
        """(d, k): what a centred row is multiplied with; zero for constant columns."""
        return np.ascontiguousarray((self.components * self._inverse_scale).T)

    @property
    def _inverse_scale(self) -> Floats:
        """(d,); 0 for constant columns."""
        inverse: Floats = np.divide(1, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        return inverse


def fit(
    moments: Moments, *, variance: float = 0.95, components: int | None = None, previous: Reduction | None = None
) -> Reduction:
    """The reduction of the rows behind `moments`: `components` many, or the fewest that keep `variance` of (0, 1].

    Eigenvectors have no sign of their own. A component points as the one of `previous` that it resembles most; where none is
    within 60 degrees, the first of its largest loadings (those within a millionth of the largest) is positive. So neither the
    order of the rows nor their partitioning decides.

    Raises NotEnoughRows for fewer than two rows or rows without any variance, WrongUsage for more components than there can be.
    """
    if moments.count < 2:  # noqa: PLR2004 - a variance takes two
        raise NotEnoughRows(f"{moments.count} good rows; a reduction needs at least 2: ingest more images")
    correlation, scale, live = _correlation(moments)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    ratios = np.zeros(moments.dimensions)
    ratios[: len(eigenvalues)] = _without_noise(eigenvalues[::-1], moments.count - 1) / len(eigenvalues)
    k = _choose_k(ratios, variance, components, moments.count)
    kept = np.zeros((k, moments.dimensions))
    kept[:, live] = vectors[:, ::-1][:, :k].T
    return Reduction(moments.mean, scale, kept * _signs(kept, previous)[:, np.newaxis], ratios)


def principal_angles_degrees(first: Floats, second: Floats) -> Floats:
    """The angles, (min(k1, k2),) in degrees, rising, between the spaces that the rows of (k1, d) and (k2, d) span.

    Rows are orthonormal. Small angles come from their sines, large ones from their cosines, as each is exact only there
    (Björck and Golub, "Numerical methods for computing angles between linear subspaces", 1973).
    """
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    overlap = shorter @ longer.T
    cosines = np.linalg.svd(overlap, compute_uv=False).clip(0, 1)
    sines = np.linalg.svd(shorter - overlap @ longer, compute_uv=False)[::-1].clip(0, 1)
    angles: Floats = np.degrees(np.where(cosines**2 > 0.5, np.arcsin(sines), np.arccos(cosines)))  # noqa: PLR2004 - 45 degrees
    return angles


def _correlation(moments: Moments) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The correlation matrix of the columns that vary, the scale (d,) of all, and which vary (d,)."""
    live = np.diag(moments.m2) > 0
    if not live.any():
        raise NotEnoughRows(f"all {moments.count} good rows are equal, so there is no variance to keep: ingest other images")
    scale = np.sqrt(moments.variances)
    spread = np.sqrt(np.diag(moments.m2)[live])
    correlation = moments.m2[np.ix_(live, live)] / spread / spread[:, np.newaxis]
    return correlation, scale, live


def _without_noise(eigenvalues: Floats, degrees_of_freedom: int) -> Floats:
    """Falling eigenvalues with those that can only be rounding set to zero, scaled to keep their sum."""
    rounding = eigenvalues[0] * len(eigenvalues) * np.finfo(np.float64).eps
    clean = np.where(eigenvalues > rounding, eigenvalues, 0.0)
    clean[degrees_of_freedom:] = 0.0
    scaled: Floats = clean * (len(eigenvalues) / clean.sum())
    return scaled


def _choose_k(ratios: Floats, variance: float, components: int | None, rows: int) -> int:
    """The number of components, never more than there are directions in which the rows differ."""
    bound = int((ratios > 0).sum())
    if components is None:
        if not 0 < variance <= 1:
            raise WrongUsage(f"variance {variance}: give a share above 0 and up to 1")
        return min(bound, int(np.searchsorted(np.cumsum(ratios), variance - ROUNDING)) + 1)
    if not 1 <= components <= bound:
        raise WrongUsage(
            f"components {components}: {rows} rows, which vary in {bound} independent directions, "
            f"allow 1 to {bound}; ask for fewer or ingest more images"
        )
    return components


def _signs(components: Floats, previous: Reduction | None) -> Floats:
    """1 or -1 for each of the (k, d) components."""
    signs = _signs_by_loadings(components)
    if previous is not None:
        overlap = components @ previous.components.T
        nearest = overlap[np.arange(len(components)), np.abs(overlap).argmax(axis=1)]
        signs = np.where(np.abs(nearest) > SAME_DIRECTION, np.sign(nearest), signs)
    return signs


def _signs_by_loadings(components: Floats) -> Floats:
    sizes = np.abs(components)
    first_largest = (sizes >= sizes.max(axis=1, keepdims=True) * (1 - TIE)).argmax(axis=1)
    signs: Floats = np.sign(components[np.arange(len(components)), first_largest])
    return signs
