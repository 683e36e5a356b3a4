"""Names the way in which a row's picture was decoded, and tells whether it would be decoded in the same way today.

Pictures are of four classes, each decoded in a way of its own: AVIF; HEIC; of the other formats the large ones, 1344 px or more
on the shorter side; and the small ones. The variant is the name of that way: ``avif-1.4.2``, ``heif-1.23.6``, ``scaled-2``.
Small pictures have none, and neither have large ones that were decoded in full. A row's `extractor` is the fingerprint with the
variant behind it (``0123456789abcdef-scaled-2``). So where the way of one class changes, rows of the others stay up to date.

Rows must not be fitted together where their fingerprints differ, or where pictures of one class have two variants.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruitpipe.pictures import codecs, containers, scaling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fruitpipe.pictures.preprocessing import Preprocessing

SCALED = "scaled-2"  # change it with whatever changes a pixel of large pictures; their stored features are then computed again
IN_FULL = "full"  # what a version's facts say of large pictures whose rows have no variant, as they were decoded in full
LARGE = "large"  # the class that both are variants of; the others are named by `codecs.family`
LARGE_SQL = f"coalesce(width >= {scaling.LARGE_FROM_PX} AND height >= {scaling.LARGE_FROM_PX}, false)"


def of_picture(body: bytes, width: int, height: int, *, in_full: bool) -> str:
    """The variant of a picture; empty for a small one, and for a large one that is decoded in full.

    A large PNG or TIFF has the variant of large JPEGs, though it is always decoded in full: a row of the table tells the size of
    its picture, and not the format. AVIF and HEIC of any size have their own, which their rows tell.
    """
    kind = containers.kind(body)
    if kind in codecs.PLUGINS:
        return codecs.decoder(kind) or ""
    return SCALED if scaling.is_large(width, height) and not in_full else ""


def extractor(fingerprint: str, variant: str) -> str:
    """What the column `extractor` holds: ``0123456789abcdef`` or ``0123456789abcdef-scaled-2``."""
    return f"{fingerprint}-{variant}" if variant else fingerprint


def fingerprint_of(extractor: str) -> str:
    """The fingerprint in what the column `extractor` holds."""
    return extractor.partition("-")[0]


@dataclass(frozen=True)
class Current:
    """What features are computed with today: the model's fingerprint, and whether large JPEGs are decoded in full."""

    fingerprint: str
    in_full: bool = False

    @classmethod
    def of(cls, fingerprint: str, preprocessing: Preprocessing, *, in_full: bool = False) -> Current:
        """For a model with this preprocessing. in_full: whether the user asked for full decoding."""
        return cls(fingerprint, scaling.is_in_full(preprocessing, asked=in_full))

    @property
    def variants(self) -> dict[str, str]:
        """The variant of each class of pictures but the small; AVIF and HEIC are left out where nothing here decodes them."""
        installed = {codecs.family(kind): variant for kind in codecs.PLUGINS if (variant := codecs.decoder(kind))}
        return {LARGE: IN_FULL if self.in_full else SCALED} | installed

    def made(self, extractor: str, width: int | None, height: int | None) -> bool:
        """Whether a row with this `extractor` is what would be computed today. A row without a size has no features.

        Rows of AVIF and HEIC count as up to date where no decoder is installed, as they could not be computed again here.
        """
        is_large = width is not None and height is not None and scaling.is_large(width, height)
        if extractor == (self._for_large if is_large else self.fingerprint):
            return True
        return extractor in self._for_containers or extractor.startswith(self._not_decoded)

    def sql(self) -> str:
        """The SQL of a row's `extractor`, but the fingerprint alone for each row that is up to date, and for no other.

        So a large picture that was decoded in full, and should not have been, gives ``0123456789abcdef-full``.
        """
        in_full = f"WHEN extractor = '{self.fingerprint}' THEN '{extractor(self.fingerprint, IN_FULL)}'"
        return f"CASE WHEN {self._made_sql()} THEN '{self.fingerprint}' {in_full} ELSE extractor END"

    @property
    def _for_large(self) -> str:
        """The `extractor` of a large picture that is neither AVIF nor HEIC."""
        return extractor(self.fingerprint, "" if self.in_full else SCALED)

    @property
    def _for_containers(self) -> tuple[str, ...]:
        """The `extractor` of AVIF and that of HEIC, of those that can be decoded here."""
        return tuple(extractor(self.fingerprint, variant) for name, variant in self.variants.items() if name != LARGE)

    @property
    def _not_decoded(self) -> tuple[str, ...]:
        """What the `extractor` of AVIF or HEIC begins with, of those that cannot be decoded here."""
        families = (codecs.family(kind) for kind in codecs.PLUGINS)
        return tuple(f"{self.fingerprint}-{family}-" for family in families if family not in self.variants)

    def _made_sql(self) -> str:
        by_size = f"extractor = CASE WHEN {LARGE_SQL} THEN '{self._for_large}' ELSE '{self.fingerprint}' END"
        of_containers = (f"extractor = '{name}'" for name in self._for_containers)
        not_decoded = (f"starts_with(extractor, '{prefix}')" for prefix in self._not_decoded)
        return f"({' OR '.join([by_size, *of_containers, *not_decoded])})"


def by_class(rows: Iterable[tuple[str, bool]]) -> dict[str, set[str]]:
    """The variants that rows have, by class of pictures; of each row its `extractor`, and whether its picture is large.

    Rows of small pictures are left out, as those have no variant.
    """
    found = defaultdict(set)
    for row, is_large in rows:
        variant = row.partition("-")[2]
        family = variant.partition("-")[0]
        if family == SCALED.partition("-")[0] or (is_large and not family):
            found[LARGE].add(variant or IN_FULL)
        elif family:
            found[family].add(variant)
    return dict(found)


def are_mixed(rows: Iterable[tuple[str, bool]]) -> bool:
    """Whether rows must not be fitted together; of each its `extractor`, and whether its picture is large."""
    found = list(rows)
    fingerprints = {fingerprint_of(row) for row, _ in found}
    return len(fingerprints) > 1 or any(len(variants) > 1 for variants in by_class(found).values())
