"""Keeps the bodies of small files in memory, so that what is read again and again is fetched once for each change."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from fruitpipe import objects

READERS = 16  # files read at the same time


class Bodies:
    """The bodies of at most `most` files, each with the etag under which it was listed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, tuple[str, bytes]] = {}

    def of(self, listed: Sequence[objects.Stat]) -> list[tuple[str, bytes]]:
        """The URI and body of each file, in order; reads those that are new or have changed. Raises NotFound, AccessDenied."""
        kept = self._kept.copy()  # another thread may drop one meanwhile
        new = [stat for stat in listed if kept.get(stat.path, ("",))[0] != stat.etag]
        with ThreadPoolExecutor(READERS, "fruitpipe-read") as readers:
            bodies = readers.map(lambda stat: objects.read(stat.path), new)
            read = {stat.path: (stat.etag, body) for stat, body in zip(new, bodies, strict=True)}
        self._keep(read)
        return [(stat.path, (read.get(stat.path) or kept[stat.path])[1]) for stat in listed]

    def _keep(self, read: dict[str, tuple[str, bytes]]) -> None:
        for uri, body in read.items():
            if uri in self._kept or len(self._kept) < self._most:
                self._kept[uri] = body

    def drop(self, uri: str) -> None:
        """Forgets a file that was written: its etag need not tell."""
        self._kept.pop(uri, None)
