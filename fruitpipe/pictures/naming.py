"""The rule of a root that gives an image its label by its path, and says whether a path is a side file.

The level of the label's folder and the image prefixes are stored with the root, so every job gives an image the same label, and
an image with a row under one prefix gets no second one under another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound, WrongUsage
from fruitpipe.pictures import globs, side_files
from fruitpipe.root import layout

if TYPE_CHECKING:
    from fruitpipe.settings import IngestSettings

HOLDER = -1  # the level of the folder that holds an image


@dataclass(frozen=True)
class Naming:
    """The rule of a root.

    level: of the folder whose name is the label: 1 is the first below the prefix, -1 the one that holds the image, -2 the one
    above that; None, in roots older than the setting: the one that holds the image, even if it is the prefix. prefixes: in the
    order in which they were ingested; the first that holds an image counts. takes_side_files: whether side files are images.
    """

    level: int | None = None
    prefixes: tuple[str, ...] = ()
    takes_side_files: bool = True

    def label(self, path: str) -> str:
        """``s3://b/fruit/Kiwi/0.jpg`` → ``Kiwi``; empty where there is no folder at that level below the prefix."""
        level = HOLDER if self.level is None else self.level
        prefix = None if self.level is None else self._prefix(path)
        folders = (path.partition("://")[2].split("/")[1:] if prefix is None else path.removeprefix(f"{prefix}/").split("/"))[:-1]
        if level > 0 and prefix is None:  # no prefix to count from
            return ""
        place = level - 1 if level > 0 else len(folders) + level
        return folders[place] if 0 <= place < len(folders) else ""

    def side_file(self, path: str) -> str | None:
        """The kind of side file at `path`; None for an image, or where side files are taken."""
        if self.takes_side_files:
            return None
        prefix = self._prefix(path)
        return side_files.kind(path.partition("://")[2] if prefix is None else path.removeprefix(f"{prefix}/"))

    def _prefix(self, path: str) -> str | None:
        return next((prefix for prefix in self.prefixes if path.startswith(f"{prefix}/")), None)


def of(root: str) -> Naming:
    """Reads the rule of a root; that of old roots where none is stored. Raises AccessDenied, Damaged."""
    return _kept(root) or Naming()


def proposed(settings: IngestSettings, is_new: Callable[[], bool]) -> Naming:
    """The root's rule with the settings' image prefix and choice of side files. Writes nothing.

    is_new: whether the root is new, asked where it has no rule of its own. Raises WrongUsage where the root has labels of
    another level.
    """
    root, images, level = settings.root, settings.images, settings.label_level
    kept = _kept(root) or (Naming(HOLDER if level is None else level) if is_new() else Naming())
    if level is not None and level != kept.level:
        has = "the folder that holds an image, whichever that is" if kept.level is None else f"of --label-level {kept.level}"
        raise WrongUsage(f"--label-level {level}: the labels under {root} are {has}; leave it out, or give another --root")
    # A prefix may be a single image. It is not stored, as an erasure of the image would have to remove its name here.
    is_image = globs.matcher(settings.glob).match(objects.name(images))
    prefixes = kept.prefixes if is_image or images in kept.prefixes else (*kept.prefixes, images)
    return Naming(kept.level, prefixes, settings.side_files)


def keep(root: str, rule: Naming) -> None:
    """Stores the rule with the root; only for the writer that holds the lease."""
    if rule != _kept(root):
        objects.write(layout.place(root, layout.NAMING), json.dumps(asdict(rule)).encode())


def forget(root: str, images: Collection[str]) -> int:
    """Removes the prefixes that are one of these images; returns how many. Only for the writer that holds the lease.

    A prefix is a single image where a stream was given one that its `--glob` does not take, or by a version of before.
    """
    kept = of(root)
    left = tuple(prefix for prefix in kept.prefixes if prefix not in images)
    if left != kept.prefixes:
        keep(root, replace(kept, prefixes=left))
    return len(kept.prefixes) - len(left)


def _kept(root: str) -> Naming | None:
    uri = layout.place(root, layout.NAMING)
    try:
        fields = json.loads(objects.read(uri))
        return Naming(fields["level"], tuple(fields["prefixes"]), fields["takes_side_files"])
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(
            f"{uri}: does not say which folder is the label ({error}); restore it, from a backup or its bucket"
        ) from error
