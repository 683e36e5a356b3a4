"""Checks the image prefix before a job starts: it must hold images, and no other name of the folder may have rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import NoImages, WrongUsage
from fruitpipe.ingest import prefix_listing
from fruitpipe.pictures import naming
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.links import Links
from fruitpipe.table import delta, snapshot

if TYPE_CHECKING:
    from fruitpipe.pictures.naming import Naming
    from fruitpipe.settings import IngestSettings


def check_images(settings: IngestSettings, rule: Naming) -> None:
    """Raises NoImages where the listing is empty, as the prefix is most likely mistyped. Raises WrongUsage, see below."""
    check_not_known(settings.images, settings.root, rule)
    if settings.source == "events":
        return
    choice = ImageFilter(rule, settings.glob)
    if next(prefix_listing.images(settings.images, choice), None):
        return
    if not objects.exists(settings.images):
        raise NoImages(f"{settings.images}: there is nothing there; check --images, or upload images first")
    found = f" ({choice})" if str(choice) else ""
    raise NoImages(
        f"{settings.images}: no image matches {settings.glob}{found}; check --images and --glob, or upload images first"
    )


def check_not_known(images: str, root: str, rule: Naming) -> None:
    """Raises WrongUsage where images of the folder have rows under another name of it, as through a link."""
    if objects.is_s3(images):
        return
    others = {Links(rule.prefixes).own_name(images), images if images in naming.of(root).prefixes else objects.real(images)}
    others.discard(images)
    if not others or delta.is_new(root):
        return
    for other in sorted(others):
        if rows := snapshot.Snapshot(root).rows_below(other):
            raise WrongUsage(f"{images}: is the same folder as {other}, where {rows} rows are; give --images {other}")
