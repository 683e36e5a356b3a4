"""Which rows of the table a refit fits together: those of one function from a picture's bytes to its vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fruitpipe.errors import MixedExtractors
from fruitpipe.pictures import variants
from fruitpipe.table.snapshot import text

Place = tuple[str, bool]  # what stands in a row as its extractor, and whether its picture is large


@dataclass(frozen=True)
class FittedRows:
    """taken: the places of rows that are fitted. left_out: those of the others."""

    taken: frozenset[Place]
    left_out: frozenset[Place] = frozenset()

    @property
    def fingerprint(self) -> str:
        """What all have in common; empty without rows."""
        return next((variants.fingerprint_of(extractor) for extractor, _ in self.taken), "")

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the preprocessing that they went through, with the one name that each has (`variants.parts`)."""
        return {part: name for part, names in sorted(variants.parts(self.taken).items()) for name in names}

    @property
    def extractors(self) -> tuple[str, ...]:
        """The extractors of which all rows are fitted."""
        return tuple(sorted({name for name, _ in self.taken} - {name for name, _ in self.left_out}))

    @property
    def are_told_by_extractor(self) -> bool:
        """Whether the extractor alone tells which rows are fitted."""
        return {name for name, _ in self.taken} == set(self.extractors)

    @property
    def condition(self) -> str:
        """The SQL of it, of the columns of the features table."""
        whole = [f"extractor = {text(name)}" for name in self.extractors]
        rest = sorted((name, is_large) for name, is_large in self.taken if name not in self.extractors)
        parts = [f"(extractor = {text(name)} AND {'' if is_large else 'NOT '}{variants.LARGE_SQL})" for name, is_large in rest]
        return " OR ".join([*whole, *parts])


def of(root: str, counts: Iterable[tuple[str, bool, bool, int]]) -> FittedRows:
    """The rows that can be fitted together.

    counts: of good rows, by extractor, whether their pictures are large, and whether they stay as the store does not give their
    images. Raises MixedExtractors where others' rows are still to be computed again.
    """
    due, staying = Counter[Place](), Counter[Place]()
    for extractor, is_large, stays, rows in counts:
        (staying if stays else due)[extractor, is_large] += rows
    found = due or staying
    if variants.are_mixed(found):
        raise MixedExtractors(_told(root, found))
    taken = set(found)
    for place in sorted(staying):
        if not variants.are_mixed({*taken, place}):
            taken.add(place)
    return FittedRows(frozenset(taken), frozenset({*due, *staying} - taken))


def _told(root: str, found: Counter[Place]) -> str:
    by_extractor = Counter[str]()
    for (extractor, _), rows in found.items():
        by_extractor[extractor] += rows
    told = ", ".join(f"{extractor} ({rows} rows)" for extractor, rows in sorted(by_extractor.items()))
    return (
        f"{root}: features of {len(by_extractor)} extractors must not be mixed: {told}; "
        f"run fruitpipe reconcile --images URI --root {root} and let the stream compute the older ones again"
    )
