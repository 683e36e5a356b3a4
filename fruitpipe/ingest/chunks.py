"""Divides a batch into chunks, the images that are featurised and committed together, and counts their outcomes. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fruitpipe.extractor import arrow_schema, featurise
from fruitpipe.outcome import Outcome
from fruitpipe.pictures.variants import Current
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.table.data_files import Group
from fruitpipe.table.lookup import Known

IMAGES_PER_CORE = 1000  # that one commit takes: some seconds of work, whatever the cluster's size
TAPER = 3  # parts of the last such chunk; their files are still too large to be compacted


@dataclass(frozen=True)
class Chunk:
    """References for the workers (schema REFERENCES), and the rows that the table has of some of these images.

    count_file: the file in which workers count images for the progress bar, if there is one. copyable: SHA-256 and extractor of
    rows of removed images, whose features a moved image may copy. said_gone: the paths of images that events named as removed.
    """

    references: pa.Table
    known: list[Known]
    count_file: str | None = None
    copyable: Mapping[str, str] = field(default_factory=dict)
    said_gone: frozenset[str] = frozenset()

    @property
    def paths(self) -> list[str]:
        """The images' paths."""
        paths: list[str] = self.references["path"].to_pylist()  # type: ignore[assignment]
        return paths


@dataclass(frozen=True)
class FeaturisedChunk:
    """A chunk whose rows are in files, ready to be committed. seconds: how long that took."""

    chunk: Chunk
    groups: list[Group]
    seconds: float

    @property
    def files(self) -> list[str]:
        """The `add` actions of the files that hold its rows."""
        return sorted({group.file for group in self.groups if group.file})

    @property
    def gone(self) -> list[str]:
        """The paths of images whose objects are not there."""
        return [path for group in self.groups for path in group.gone or ()]

    @property
    def unexpectedly_gone(self) -> list[str]:
        """The paths of gone images that no event named as removed."""
        return [path for path in self.gone if path not in self.chunk.said_gone]

    @property
    def reasons(self) -> Counter[str]:
        """How many images failed, by reason. Images that keep their rows did not, whatever the store said."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            if group.error is not None and group.outcome == Outcome.FAILED:
                counts[group.error] += group.images
        return counts

    def count(self, column: str, but: Outcome | None = None) -> Counter[str]:
        """How many images there are, by `column` (outcome or error); `but`: an outcome to leave out."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            if group.outcome != but:
                counts[getattr(group, column)] += group.images
        return counts


def divided(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Even parts of about `size` events each; a batch that is a little larger is one part."""
    even = math.ceil(len(named) / max(1, round(len(named) / size))) if named else size
    return [named[first : first + even] for first in range(0, len(named), even)]


def tapered(named: Sequence[ImageEvent], size: int) -> list[Sequence[ImageEvent]]:
    """Parts of `size` events, the last ones of a third of it, where there are two or more.

    Cores differ in speed: with small last parts a fast core waits less for a slow one.
    """
    whole = max(0, len(named) // size - 1) * size
    return [*divided(named[:whole], size), *divided(named[whole:], size // TAPER if whole else size)]


def reference_table(named: Sequence[ImageEvent], known: dict[str, Known], featuriser: featurise.Featuriser) -> pa.Table:
    """The events as a table with schema REFERENCES. A row of another extractor, or of another limit, does not count as known."""
    now = featuriser.current
    counting = {
        path: row
        for path, row in known.items()
        if now.made(row.extractor, row.width, row.height) and not row.worth_another_look(featuriser.max_image_bytes)
    }
    columns = [_reference(event, counting.get(event.path), known.get(event.path), now) for event in named]
    return pa.Table.from_pylist(columns, arrow_schema.REFERENCES)


def _reference(event: ImageEvent, current: Known | None, known: Known | None, now: Current) -> dict[str, object]:
    """One reference. current: the image's row if it counts, see `reference_table`. known: its row in any case."""
    return {
        "path": event.path,
        "length": event.length,
        "known_etag": current and current.etag,
        "known_sha256": current and current.sha256,
        "good_etag": known.etag if known and known.error is None else None,
        "known_error": current.error if current and current.etag is None else None,
        "is_stale": True if known and known.is_stale(now) else None,
        "archived_etag": event.etag if event.archived else None,
    }
