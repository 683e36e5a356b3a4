"""Recomputes rows of another extractor: reconciliation asks for it in manifests, the stream does it between its batches.

The manifests lie in `<root>/stale`, apart from others, so that images that have just arrived come first. Each names images in the
table's order, so that the rows of one data file are recomputed together and the file is rewritten once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from fruitpipe import objects
from fruitpipe.errors import NotFound, WrongRoot
from fruitpipe.root import layout, manifests

CHUNK = 500  # images computed in one go: what arrives meanwhile waits for two or three seconds
LOOK_SECONDS = 60.0  # from one look for new manifests to the next


def ask(root: str, paths: Sequence[str], prefix: str = "") -> int:
    """Writes manifests that ask to recompute `paths` below an image prefix; returns how many.

    They replace those that were written for this prefix before. Those for other prefixes of the root stay.
    """
    folder, asker = layout.folder(root, "stale"), sha256(prefix.encode()).hexdigest()[:8]
    before = [uri for uri in asked(root) if _asker(uri) in (asker, "")]
    now = datetime.now(UTC)
    named = manifests.manifests((manifests.ImageEvent("created", path) for path in paths), CHUNK)
    count = 0
    for count, body in enumerate(named, 1):
        # No name comes twice: the stream removes one that it has carried out, whatever has been written since.
        objects.write(objects.join(folder, f"{now:%Y%m%dT%H%M%S%f}-{count:06d}-{asker}.jsonl"), body)
    for uri in before:
        objects.delete(uri)
    return count


def _asker(uri: str) -> str | None:
    """The hash of the prefix in a manifest's name; empty in one of an earlier version, None in one of somebody else's."""
    parts = objects.name(uri).removesuffix(".jsonl").split("-")
    return {2: "", 3: parts[-1]}.get(len(parts))


def asked(root: str) -> list[str]:
    """The URIs of the manifests that wait, oldest first, without those that are being written, or whose writer was killed."""
    uris = (stat.path for stat in objects.list_all(layout.folder(root, "stale")))
    return sorted(uri for uri in uris if not objects.is_unfinished(uri))


@dataclass
class Recomputation:
    """Recomputes what the manifests name, `images_per_second` at the most; with 0 none.

    A manifest is removed when it is done. After a kill it is done again, and images that are computed already cost a look.
    """

    root: str
    images_per_second: float
    commit: Callable[[Sequence[manifests.ImageEvent]], None]
    _waiting: list[str] = field(default_factory=list)
    _not_before: float = 0.0

    def step(self) -> bool:
        """Recomputes the images of one manifest, if one waits and the rate allows it; returns whether it did."""
        return time.monotonic() >= self._not_before and self._step()

    def finish(self) -> bool:
        """Like `step`, but without regard to the rate."""
        return self._step()

    def _step(self) -> bool:
        if not self.images_per_second:
            return False
        began = time.monotonic()
        self._waiting = self._waiting or asked(self.root)
        if not self._waiting:
            self._not_before = began + LOOK_SECONDS
            return False
        uri = self._waiting.pop(0)
        named = _read(uri)
        if named:
            self.commit(named)
        objects.delete(uri)
        self._not_before = began + len(named) / self.images_per_second
        return True


def _read(uri: str) -> list[manifests.ImageEvent]:
    try:
        return [manifests.parse_line(line) for line in objects.read(uri).decode().splitlines()]
    except NotFound:  # a later reconciliation has replaced it
        return []
    except ValueError as error:
        raise WrongRoot(f"{uri}: is no manifest of fruitpipe's ({error}); remove it") from error
