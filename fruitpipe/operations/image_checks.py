"""The doctor's check of the image prefix: whether images are there, and whether the store gives them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice

from fruitpipe import objects, settings
from fruitpipe.errors import AccessDenied, NotFound
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter

LISTED = 1000  # objects that are looked through for what is no image: one request
LOOKS = 3  # images that are looked at, as one alone may be refused


def prefix(images: str, root: str) -> str:
    """Lists the prefix and looks at some images. Raises NotFound without images, AccessDenied where none of them is given.

    A single image or folder that is refused is told and is no failure: the stream goes on without it.
    """
    refused: list[str] = []
    listed = list(islice(objects.list_all(images, refused.append), LISTED))
    if refused and not listed:
        raise AccessDenied(f"{refused[0]}: may not be read, and nothing else is there; grant access")
    if not listed:
        raise NotFound(f"{images}: there is nothing there; check --images, or upload images first")
    choice = _choice(images, root)
    chosen = [stat.path for stat in listed if choice.takes(stat.path)]
    if not chosen and len(listed) < LISTED:
        raise NotFound(f"{images}: no image matches {choice.glob} ({choice}); check --images and --glob")
    given, not_given = _looked_at(chosen[:LOOKS] or [listed[0].path])
    if not given:
        raise AccessDenied(f"{not_given[0]}; grant read on the images")
    seen = f" (of the first {LISTED:,} objects)" if len(listed) == LISTED else ""
    passed_over, names = f"; {choice}{seen}" if str(choice) else "", [*not_given, *refused]
    return f"{images}: list and read ({objects.name(given[0])}){passed_over}" + (f"; refused: {names[0]}" if names else "")


def _choice(images: str, root: str) -> ImageFilter:
    rule = naming.of(root)
    first = naming.Naming(naming.HOLDER, (images,), takes_side_files=False)  # of a root without a stream so far
    return ImageFilter(rule if rule.prefixes else first, os.environ.get("FRUITPIPE_GLOB") or settings.GLOB)


def _looked_at(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those that the store gives, and what it says of each other one. One in an archive shows that no right is lacking."""
    given, refused = list[str](), list[str]()
    for path in paths:
        look = objects.look(path, max_bytes=0)
        if isinstance(look, objects.Unreadable) and not isinstance(look, objects.Withheld):
            refused.append(f"{path}: {look.message}")
        else:
            given.append(path)
    return given, refused
