"""Decides, where all images of a chunk fail alike, whether the images are at fault or the platform.

The platform is where a permission was revoked or a worker fails with every image. The images are where the store refuses one
folder or has no such bucket any more, or each of them crashes the decoder. Images of other folders, the controls, tell the two
apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError, NotFound, PlatformFault
from fruitpipe.ingest.chunks import FeaturisedChunk
from fruitpipe.outcome import Outcome
from fruitpipe.table import lookup
from fruitpipe.table.data_files import Group

REASONS = ("unreadable", "crashes-decoder", "decoder-error", "too-slow")  # that a platform fault gives too
CONTROLS = 3  # images that are looked at beside a chunk whose images fail alike
ALIKE = 5  # without a control: so many images in one chunk do not crash a decoder by themselves


@dataclass(frozen=True)
class Judge:
    """Judges the chunks of one batch.

    named: the paths of the images of the batch. featurise: fetches and featurises images now, without writing rows, and returns
    the outcomes.
    """

    root: str
    named: Sequence[str]
    featurise: Callable[[Sequence[str]], list[Group]]

    def check(self, featurised: FeaturisedChunk) -> None:
        """Raises PlatformFault where the platform is at fault. Images that were unreadable before and still are do not count."""
        gone = frozenset(featurised.gone)  # neither good nor bad
        there = [path for path in featurised.chunk.paths if path not in gone]
        reasons = featurised.count("error", but=Outcome.GONE)
        unreadable_before = sum(row.error == "unreadable" for row in featurised.chunk.known)
        for reason in REASONS:
            images, before = reasons[reason], unreadable_before if reason == "unreadable" else 0
            if images == reasons.total() and images > before:
                message = next(group.message for group in featurised.groups if group.error == reason)
                self._check_alike(there, reason, images - before, message)

    def _check_alike(self, paths: Sequence[str], reason: str, new: int, message: str | None) -> None:
        """Judges a chunk whose images all fail for one reason; `new` of them did not before."""
        if reason == "unreadable" and _fares_better(self._there(paths[:1]), reason):
            raise PlatformFault(
                f"{len(paths)} images of this batch were unreadable ({message}), and one is not any more; start again"
            )
        controls = self._looked_at_controls(paths)
        is_platforms = not _fares_better(controls, reason) if controls else reason == "unreadable" or new >= ALIKE
        if is_platforms:
            raise PlatformFault(
                f"all {len(paths)} images of this batch are {reason} ({message}); nothing was written. Fix that and start again"
            )

    def _looked_at_controls(self, paths: Sequence[str]) -> list[Group]:
        """The outcomes now of the first kind of controls of which at least one image is not gone; empty without any."""
        looks = (self._there(controls) for controls in self._controls(paths) if controls)
        return next(filter(None, looks), [])

    def _there(self, paths: Sequence[str]) -> list[Group]:
        return [group for group in self.featurise(paths) if group.outcome != Outcome.GONE]

    def _controls(self, paths: Sequence[str]) -> Iterator[list[str]]:
        """Images with features in the table; else others of the batch, one a folder; else others of the same folder."""
        chunk = frozenset(paths)
        yield lookup.good_paths(self.root, CONTROLS, chunk, _missing_buckets(paths))
        beside = (path for path in _one_a_folder(self.named, _folders(chunk)) if path not in chunk)
        yield list(islice(beside, CONTROLS))
        yield _neighbours(paths[0], chunk)


def _fares_better(groups: Iterable[Group], reason: str) -> bool:
    """Whether one of these images has another outcome than the reason."""
    return any(group.error != reason for group in groups)


def _folders(paths: Iterable[str]) -> set[str]:
    return {lookup.folder(path) for path in paths}


def _one_a_folder(paths: Iterable[str], but: set[str]) -> Iterator[str]:
    """The first image of each folder; `but` those folders."""
    seen = set(but)
    for path in paths:
        if lookup.folder(path) not in seen:
            seen.add(lookup.folder(path))
            yield path


def _neighbours(path: str, but: frozenset[str]) -> list[str]:
    """Other objects in the folder of an image, of those that can be seen; none where even its bucket is gone."""
    beside = (stat.path for stat in objects.list_all(lookup.folder(path), lambda _: None))
    with suppress(NotFound):
        return list(islice((path for path in beside if path not in but), CONTROLS))
    return []


def _missing_buckets(paths: Iterable[str]) -> list[str]:
    """The buckets of these images that are not there, as ``s3://bucket/``: no image in one tells whether the platform works."""
    buckets = {f"s3://{objects.bucket(path)}" for path in paths if objects.is_s3(path)}
    return [f"{bucket}/" for bucket in sorted(buckets) if _is_missing(bucket)]


def _is_missing(bucket: str) -> bool:
    with suppress(FruitpipeError):  # of other kinds: nobody may list it
        try:
            objects.exists(bucket)
        except NotFound:
            return True
    return False
