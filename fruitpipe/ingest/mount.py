"""Detects an image folder, or one below it, whose file system is not mounted: no file is there, and yet no image was removed.

S3 needs none of this: an object that is not there is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, PlatformFault
from fruitpipe.output import say
from fruitpipe.root.manifests import ImageEvent


@dataclass(frozen=True)
class Mount:
    """The image prefix and the mount points below it, with their device numbers when the run began; None in S3.

    What is not mounted when a run begins is not known to be one; a root may have each as a prefix of its own (docs/events.md).
    """

    prefix: str
    device: int | None = field(init=False)
    below: dict[str, int | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", objects.device(self.prefix))
        object.__setattr__(self, "below", {folder: objects.device(folder) for folder in objects.mounts_below(self.prefix)})

    @property
    def is_another(self) -> bool:
        """Whether another file system is there now than at the start, or none."""
        return objects.device(self.prefix) != self.device

    @property
    def away(self) -> list[str]:
        """The mount points below the prefix at which another file system is now than at the start, or none."""
        return [folder for folder, device in self.below.items() if objects.device(folder) != device]

    def check(self, gone: Sequence[str]) -> None:
        """Raises PlatformFault where some of `gone` lie below the prefix and their file system is not mounted any more."""
        below = [path for path in gone if path.startswith(f"{self.prefix}/")]
        if not below or objects.is_s3(self.prefix):
            return
        if self.is_another or self._is_empty():
            raise _away(self.prefix, len(below))
        for folder in self.away:
            if there := [path for path in below if path.startswith(f"{folder}/")]:
                raise _away(folder, len(there))

    def _is_empty(self) -> bool:
        return is_empty(self.prefix)


def _away(folder: str, images: int) -> PlatformFault:
    return PlatformFault(
        f"{folder} is empty or another file system now, so {images} images of this batch cannot be told from "
        "removed ones; nothing was written. Mount it again and start again"
    )


@dataclass(frozen=True)
class OtherPrefixes:
    """The prefixes of the root that this stream does not list. Manifests may name images below them."""

    root: str
    prefixes: tuple[str, ...]

    def within_reach(self, named: Sequence[ImageEvent]) -> list[ImageEvent]:
        """`named` without images below a prefix that is empty or not there now, as a look would take them for removed.

        Their rows stay. Events of removed images pass: who wrote them saw the folder.
        """
        held = {event.path: prefix for event in named if event.event == "created" and (prefix := self._of(event.path))}
        away = {prefix for prefix in set(held.values()) if is_empty(prefix)}
        for prefix in sorted(away):
            images = sum(1 for one in held.values() if one == prefix)
            again = f"mount it and run fruitpipe reconcile --images {prefix} --root {self.root}"
            say(f"{prefix} is empty or not there: {images} images are left as they are; {again}")
        return [event for event in named if held.get(event.path) not in away]

    def _of(self, path: str) -> str | None:
        below = (prefix for prefix in self.prefixes if not objects.is_s3(prefix))
        return next((prefix for prefix in below if path.startswith(f"{prefix}/")), None)


def is_empty(folder: str) -> bool:
    """Whether a folder holds no file, or is not there; one that may not be read is not empty."""
    try:
        return not objects.exists(folder)
    except AccessDenied:
        return False
