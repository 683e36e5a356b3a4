"""A batch in chunks: the images that are featurised and committed together, and what became of them. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from fruitpipe.extractor import arrow_schema, featurise
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.table.data_files import Group
from fruitpipe.table.lookup import Known

IMAGES_PER_CORE = 1000  # that one commit takes: some seconds of work, whatever the cluster's size
TAPER = 3  # parts of the last such chunk; their files are still too large to be packed


@dataclass(frozen=True)
class Chunk:
    """References for the workers (schema REFERENCES), and the rows that the table has of some of these images.

    tally: the file in which each image leaves its mark for the bar, if there is one. copyable: the SHA-256 of those bytes whose
    features a row has that may go. said_gone: the paths of images that were named because they are.
    """

    references: pa.Table
    known: list[Known]
    tally: str | None = None
    copyable: frozenset[str] = frozenset()
    said_gone: frozenset[str] = frozenset()

    @property
    def paths(self) -> list[str]:
        """The images' paths."""
        paths: list[str] = self.references["path"].to_pylist()  # type: ignore[assignment]
        return paths


@dataclass(frozen=True)
class FeaturisedChunk:
    """A chunk that is ready to be committed: its rows are in files. seconds: that it took."""

    chunk: Chunk
    groups: list[Group]
    seconds: float

    @property
    def files(self) -> list[str]:
        """The `add` actions of the files that hold its rows."""
        return sorted({group.file for group in self.groups if group.file})

    @property
    def gone(self) -> list[str]:
        """The paths of images that are not there."""
        return [path for group in self.groups for path in group.gone or ()]

    @property
    def unexpectedly_gone(self) -> list[str]:
        """The paths of those that nobody had said are gone."""
        return [path for path in self.gone if path not in self.chunk.said_gone]

    @property
    def reasons(self) -> Counter[str]:
        """How many images failed for each reason; those whose rows stay, whatever the store said of them, did not."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            if group.error is not None and group.outcome == "failed":
                counts[group.error] += group.images
        return counts

    def count(self, column: str, but: str = "") -> Counter[str]:
        """How many images there are of each outcome, or of each error; `but` those of one outcome."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            if group.outcome != but:
                counts[getattr(group, column)] += group.images
        return counts


def divided(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Even parts of about `size`: a batch that is a little larger is one."""
    even = math.ceil(len(named) / max(1, round(len(named) / size))) if named else size
    return [named[first : first + even] for first in range(0, len(named), even)]


def tapered(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Parts of `size`, and towards the end of a third of that, where there are two or more.

    Cores differ in speed, and one that has nothing left to do would wait for another's part.
    """
    whole = max(0, len(named) // size - 1) * size
    return [*divided(named[:whole], size), *divided(named[whole:], size // TAPER if whole else size)]


def reference_table(named: Sequence[ImageEvent], known: dict[str, Known], featuriser: featurise.Featuriser) -> pa.Table:
    """`named` with the schema REFERENCES. What another extractor or limit made of an image does not count as known."""
    current = {
        path: row
        for path, row in known.items()
        if row.extractor == featuriser.extractor and not row.worth_another_look(featuriser.max_image_bytes)
    }
    columns = [_reference(event, current.get(event.path), known.get(event.path)) for event in named]
    return pa.Table.from_pylist(columns, arrow_schema.REFERENCES)


def _reference(event: ImageEvent, current: Known | None, known: Known | None) -> dict[str, object]:
    """current: the row where it is of this extractor and counts. known: the row, whatever it is."""
    return {
        "path": event.path,
        "length": event.length,
        "known_etag": current and current.etag,
        "known_sha256": current and current.sha256,
        "good_etag": known.etag if known and known.error is None else None,
        "archived_etag": event.etag if event.archived else None,
    }
