"""Which rows of the table a refit fits together: those with one fingerprint and one variant for each class of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fruitpipe.errors import MixedExtractors
from fruitpipe.pictures import variants
from fruitpipe.table.snapshot import text

RowKind = tuple[str, bool]  # of rows that have these in common: `extractor`, and whether their pictures are large


@dataclass(frozen=True)
class FittedRows:
    """The kinds of rows that are fitted, and of those that are left out."""

    taken: frozenset[RowKind]
    left_out: frozenset[RowKind] = frozenset()

    @property
    def fingerprint(self) -> str:
        """What all fitted rows have in common; empty without rows."""
        return next((variants.fingerprint_of(extractor) for extractor, _ in self.taken), "")

    @property
    def variants(self) -> dict[str, str]:
        """The one variant that the fitted rows have of each class of pictures (`variants.by_class`)."""
        return {name: variant for name, found in sorted(variants.by_class(self.taken).items()) for variant in found}

    @property
    def extractors(self) -> tuple[str, ...]:
        """The values of `extractor` of which all rows are fitted."""
        return tuple(sorted({name for name, _ in self.taken} - {name for name, _ in self.left_out}))

    @property
    def are_told_by_extractor(self) -> bool:
        """Whether `extractor` alone tells which rows are fitted."""
        return {name for name, _ in self.taken} == set(self.extractors)

    @property
    def condition(self) -> str:
        """The SQL that is true for the fitted rows of the features table."""
        whole = [f"extractor = {text(name)}" for name in self.extractors]
        rest = sorted((name, is_large) for name, is_large in self.taken if name not in self.extractors)
        by_size = [f"(extractor = {text(name)} AND {'' if is_large else 'NOT '}{variants.LARGE_SQL})" for name, is_large in rest]
        return " OR ".join([*whole, *by_size])


def of(root: str, counts: Iterable[tuple[str, bool, bool, int]]) -> FittedRows:
    """The rows that can be fitted together.

    counts: of good rows, by `extractor`, whether their pictures are large, and whether they stay as the store does not give their
    images. Raises MixedExtractors where others' rows are still to be computed again.
    """
    due, staying = Counter[RowKind](), Counter[RowKind]()
    for extractor, is_large, stays, rows in counts:
        (staying if stays else due)[extractor, is_large] += rows
    found = due or staying
    if variants.are_mixed(found):
        raise MixedExtractors(
            f"{root}: {_mixed(found)}; run fruitpipe reconcile --images URI --root {root} and let the stream compute the older "
            "ones again"
        )
    taken = set(found)
    for kind in sorted(staying):
        if not variants.are_mixed({*taken, kind}):
            taken.add(kind)
    return FittedRows(frozenset(taken), frozenset({*due, *staying} - taken))


def _mixed(found: Counter[RowKind]) -> str:
    """What must not be fitted together, each with its number of rows: fingerprints, or variants of one class of pictures."""
    by_fingerprint = Counter[str]()
    for (extractor, _), rows in found.items():
        by_fingerprint[variants.fingerprint_of(extractor)] += rows
    if len(by_fingerprint) > 1:
        return f"features of {len(by_fingerprint)} extractors must not be mixed: {_told(by_fingerprint)}"
    by_variant: dict[str, Counter[str]] = {}
    for kind, rows in found.items():
        for name, (variant,) in variants.by_class([kind]).items():
            by_variant.setdefault(name, Counter())[variant] += rows
    mixed = [f"{name} pictures decoded as {_told(rows)}" for name, rows in sorted(by_variant.items()) if len(rows) > 1]
    return f"features must not be mixed of {' or of '.join(mixed)}"


def _told(rows: Counter[str]) -> str:
    return ", ".join(f"{name} ({count} rows)" for name, count in sorted(rows.items()))
