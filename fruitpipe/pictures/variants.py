"""Which preprocessing made a row's vector, and whether that is what would be done today.

Preprocessing is one function, in parts: what is done with small pictures in the formats of old, with large ones, with AVIF and
with HEIC. Each part that came later has a name, which stands behind the extractor's fingerprint (``0123456789abcdef-scaled-1``).
So a new way for large pictures leaves all rows of small ones as they are. Two rows are of different functions only where the same
part has different names, or the fingerprints differ.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruitpipe.pictures import codecs, containers, scaling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fruitpipe.pictures.preprocessing import Preprocessing

SCALED = "scaled-1"  # change it with whatever changes a pixel of large pictures; their stored features are then computed again
IN_FULL = "full"  # as a large picture's row is called that has no name, where it is to have one
LARGE = "large"  # the part that both of them name
LARGE_SQL = f"coalesce(width >= {scaling.TOUCHED_FROM_PX} AND height >= {scaling.TOUCHED_FROM_PX}, false)"


def of_picture(body: bytes, width: int, height: int, *, in_full: bool) -> str:
    """The name of the part that this picture goes through; empty for a small one in a format of old.

    Large pictures have one in common whatever their format, as a row of the table tells the size alone.
    """
    kind = containers.kind(body)
    if kind in codecs.PLUGINS:
        return codecs.decoder(kind) or ""
    return SCALED if scaling.is_touched(width, height) and not in_full else ""


def named(fingerprint: str, variant: str) -> str:
    """What stands in a row: ``0123456789abcdef`` or ``0123456789abcdef-scaled-1``."""
    return f"{fingerprint}-{variant}" if variant else fingerprint


def fingerprint_of(extractor: str) -> str:
    """What all rows of one function have in common."""
    return extractor.partition("-")[0]


@dataclass(frozen=True)
class Current:
    """The function that is computed now: the extractor's fingerprint, and whether large JPEGs are decoded in full."""

    fingerprint: str
    in_full: bool = False

    @classmethod
    def of(cls, fingerprint: str, preprocessing: Preprocessing, *, in_full: bool = False) -> Current:
        """That of a network, for which a user may have asked that all be decoded in full."""
        return cls(fingerprint, in_full or not scaling.is_made_for(preprocessing))

    @property
    def parts(self) -> dict[str, str]:
        """The names of the parts, as `parts` of rows has them; without those whose decoder is not installed here."""
        installed = {codecs.family(kind): name for kind in codecs.PLUGINS if (name := codecs.decoder(kind))}
        return {LARGE: IN_FULL if self.in_full else SCALED} | installed

    def made(self, extractor: str, width: int | None, height: int | None) -> bool:
        """Whether a row is as this function makes it; one without a size has no features.

        Rows that another decoder made are, where none is installed: it would have to be, to make them again.
        """
        is_large = width is not None and height is not None and scaling.is_touched(width, height)
        if extractor == (self._for_large if is_large else self.fingerprint):
            return True
        return extractor in self._for_containers or extractor.startswith(self._not_decoded)

    def sql(self) -> str:
        """What made a row, of the columns of the features table: the fingerprint where it is up to date, and never elsewhere."""
        in_full = f"WHEN extractor = '{self.fingerprint}' THEN '{named(self.fingerprint, IN_FULL)}'"
        return f"CASE WHEN {self._made_sql()} THEN '{self.fingerprint}' {in_full} ELSE extractor END"

    @property
    def _for_large(self) -> str:
        """What stands in a row of a large picture in a format of old."""
        return named(self.fingerprint, "" if self.in_full else SCALED)

    @property
    def _for_containers(self) -> tuple[str, ...]:
        """What stands in rows of AVIF and HEIC."""
        return tuple(named(self.fingerprint, name) for part, name in self.parts.items() if part != LARGE)

    @property
    def _not_decoded(self) -> tuple[str, ...]:
        """How rows begin of AVIF and HEIC whose decoder is not installed here."""
        families = (codecs.family(kind) for kind in codecs.PLUGINS)
        return tuple(f"{self.fingerprint}-{family}-" for family in families if family not in self.parts)

    def _made_sql(self) -> str:
        by_size = f"extractor = CASE WHEN {LARGE_SQL} THEN '{self._for_large}' ELSE '{self.fingerprint}' END"
        of_containers = (f"extractor = '{name}'" for name in self._for_containers)
        not_decoded = (f"starts_with(extractor, '{prefix}')" for prefix in self._not_decoded)
        return f"({' OR '.join([by_size, *of_containers, *not_decoded])})"


def parts(rows: Iterable[tuple[str, bool]]) -> dict[str, set[str]]:
    """The names that rows have of each part; of each row what stands in it, and whether its picture is large.

    Small pictures in the formats of old have no name, and no part here.
    """
    names = defaultdict(set)
    for extractor, is_large in rows:
        variant = extractor.partition("-")[2]
        part = variant.partition("-")[0]
        if part == SCALED.partition("-")[0] or (is_large and not part):
            names[LARGE].add(variant or IN_FULL)
        elif part:
            names[part].add(variant)
    return dict(names)


def are_mixed(rows: Iterable[tuple[str, bool]]) -> bool:
    """Whether rows are of more than one function."""
    found = list(rows)
    fingerprints = {fingerprint_of(extractor) for extractor, _ in found}
    return len(fingerprints) > 1 or any(len(names) > 1 for names in parts(found).values())
