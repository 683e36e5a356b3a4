"""The folder of the images as a file system that may go away: then no file is there, and yet no image is gone.

In S3 an object that is not there is gone: the bucket itself answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fruitpipe import objects
from fruitpipe.errors import PlatformFault


@dataclass(frozen=True)
class Mount:
    """The prefix, and the device on which it lay when the run began; S3 has none."""

    prefix: str
    device: int | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", objects.device(self.prefix))

    @property
    def is_another(self) -> bool:
        """Whether something else is mounted there now, or nothing any more."""
        return objects.device(self.prefix) != self.device

    def check(self, gone: Sequence[str]) -> None:
        """Raises PlatformFault where images below are gone because the whole folder is."""
        below = [path for path in gone if path.startswith(f"{self.prefix}/")]
        if not below or objects.is_s3(self.prefix):
            return
        if self.is_another or self._is_empty():
            raise PlatformFault(
                f"{self.prefix} is empty or another file system now, so {len(below)} images of this batch cannot be told from "
                "removed ones; nothing was written. Mount it again and start again"
            )

    def _is_empty(self) -> bool:
        shut: list[str] = []
        return next(objects.list_all(self.prefix, shut.append), None) is None and not shut
