"""What `fruitpipe ingest` is put together of, with Spark and without."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fruitpipe.choices import Decoding
from fruitpipe.extractor import featurise
from fruitpipe.extractor.inference import fingerprint
from fruitpipe.ingest.mount import OtherPrefixes
from fruitpipe.pictures import naming
from fruitpipe.table import lookup
from fruitpipe.table.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fruitpipe.extractor.inference import ModelFile
    from fruitpipe.root.manifests import ImageEvent
    from fruitpipe.settings import IngestSettings
    from fruitpipe.table.kept_hashes import KeptRowHashes


def featuriser(settings: IngestSettings, model: ModelFile, broadcast: featurise.Broadcast) -> featurise.Featuriser:
    """What each worker does with an image. broadcast: how it gets the model."""
    return featurise.Featuriser(
        broadcast,
        fingerprint(model),
        settings.max_image_bytes,
        settings.max_image_seconds,
        naming=naming.of(settings.root),
        preprocessing=model.preprocessing,
        in_full=settings.decode == Decoding.full,
    )


def look_up(settings: IngestSettings, hashes: KeptRowHashes) -> Lookup:
    """The table's rows of images."""
    return Lookup(hashes, partial(lookup.of_paths, settings.root))


def within_reach(settings: IngestSettings) -> Callable[[Sequence[ImageEvent]], list[ImageEvent]]:
    """Leaves out images below other prefixes of the root that are not there now."""
    beside = tuple(prefix for prefix in naming.of(settings.root).prefixes if prefix != settings.images)
    return OtherPrefixes(settings.root, beside).within_reach
