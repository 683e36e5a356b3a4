"""A store in memory with the interface of `fruitpipe.objects.local` and `.s3`, which a kill can end at any of its writes.

Three kinds: a folder, whose etags tell every overwrite; S3, where the same bytes have the same etag; and S3 that keeps versions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import md5
from typing import Any, Literal

from fruitpipe.errors import Conflict, NotFound
from fruitpipe.objects.stat import Found, Gone, Look, Stat, TooLarge, Unchanged, Unreadable, Withheld, etag

Kind = Literal["folder", "s3", "versioned"]
_changes = itertools.count()  # never the same twice in a process, as the product keeps what it has read by its etag


class Killed(BaseException):
    """The process has ended here: nothing that it does on its way out reaches the store."""


@dataclass(frozen=True)
class File:
    """An object. change: the number of the write. state: `refused` and `archived` objects give no bytes."""

    body: bytes
    time: datetime
    change: int
    state: Literal["", "refused", "archived"] = ""


@dataclass
class Store:
    """before_write: called with the URI before each write, which may end the process. away: what is unmounted."""

    kind: Kind
    files: dict[str, File] = field(default_factory=dict)
    earlier: list[tuple[str, bytes]] = field(default_factory=list)
    before_write: Callable[[str], None] = lambda _: None
    away: str | None = None
    dead: bool = False

    def put(self, uri: str, body: bytes, time: datetime) -> None:
        """What somebody else uploads."""
        self._drop(uri)
        self.files[uri] = File(body, time, next(_changes))

    def take(self, uri: str) -> File | None:
        """What somebody else removes."""
        found = self.files.get(uri)
        self._drop(uri)
        return found

    def mark(self, uri: str, state: Literal["", "refused", "archived"]) -> None:
        """An object becomes refused, archived, or plain again; its etag stays."""
        self.files[uri] = replace(self.files[uri], state=state)

    def look(self, uri: str, known_etag: str | None, max_bytes: int | None) -> Look:
        self._check_alive()
        found = self._get(uri)
        if found is None:
            return Gone()
        stat = self._stat(uri, found)
        if found.state == "refused":
            return Unreadable("AccessDenied: not yours")
        if found.state == "archived":
            return Withheld("InvalidObjectState: in an archive", "archived", stat)
        if known_etag is not None and known_etag.partition("@")[0] == stat.etag.partition("@")[0]:
            return Unchanged()
        return TooLarge(stat) if max_bytes is not None and stat.length > max_bytes else Found(stat, found.body)

    def list_all(self, uri: str, *_: object) -> Iterator[Stat]:
        self._check_alive()
        for path, found in list(self.files.items()):
            if (path == uri or path.startswith(f"{uri}/")) and not self._is_away(path):
                stat = self._stat(path, found)
                yield replace(stat, etag=stat.etag.partition("@")[0], is_archived=found.state == "archived")

    def children(self, uri: str) -> set[str]:
        self._check_alive()
        below = (path.removeprefix(f"{uri}/") for path in list(self.files) if path.startswith(f"{uri}/"))
        return {name.partition("/")[0] + "/" * ("/" in name) for name in below}

    def device(self, uri: str) -> int | None:
        return 2 if self._is_away(f"{uri}/") else 1

    def read_piece(self, uri: str, start: int, count: int) -> bytes:
        if uri not in self.files:
            raise NotFound(f"{uri}: there is no such object")
        return self.files[uri].body[start : start + count]

    def write(self, uri: str, body: bytes, if_absent: bool, if_etag: str | None) -> str:
        self._begin(uri)
        there = self.files.get(uri)
        if if_absent and there:
            raise Conflict(f"{uri}: is there already")
        if if_etag and (there is None or self._stat(uri, there).etag != if_etag):
            raise Conflict(f"{uri}: was changed")
        self.put(uri, body, datetime.now(UTC))
        return self._stat(uri, self.files[uri]).etag

    def add(self, uri: str, body: bytes) -> None:
        self.write(uri, body, if_absent=True, if_etag=None)

    def copy(self, uri: str, to: str) -> None:
        self.write(to, self.files[uri].body, if_absent=False, if_etag=None)

    def delete(self, uri: str) -> None:
        if uri in self.files:
            self._begin(uri)
            self._drop(uri)

    def delete_all(self, uri: str) -> int:
        there = [stat.path for stat in self.list_all(uri)]
        for path in there:
            self.delete(path)
        return len(there)

    def has_versions(self, uri: str) -> bool:
        return uri in self.files or any(path == uri for path, _ in self.earlier)

    def erase(self, uri: str) -> int:
        self._begin(uri)
        before = len(self.files) + len(self.earlier)
        self.files.pop(uri, None)
        self.earlier = [(path, body) for path, body in self.earlier if path != uri]
        return before - len(self.files) - len(self.earlier)

    def purge(self, uri: str) -> int:
        self._begin(uri)
        before = len(self.earlier)
        self.earlier = [(path, body) for path, body in self.earlier if not f"{path}/".startswith(f"{uri}/")]
        return before - len(self.earlier)

    def link(self, _: str) -> None:
        return None

    def uploads(self, _: str) -> Iterator[Any]:
        return iter(())

    def check_drive(self, _: str) -> None:
        """Memory keeps its promises."""

    def takes_links(self, _: str) -> bool:
        return True

    def credentials(self, _: str) -> dict[str, str]:
        return {}

    def _begin(self, uri: str) -> None:
        self._check_alive()
        self.before_write(uri)
        self._check_alive()

    def _check_alive(self) -> None:
        if self.dead:
            raise Killed

    def _drop(self, uri: str) -> None:
        found = self.files.pop(uri, None)
        if found and self.kind == "versioned":
            self.earlier.append((uri, found.body))

    def _is_away(self, path: str) -> bool:
        return self.away is not None and path.startswith(f"{self.away}/")

    def _get(self, uri: str) -> File | None:
        return None if self._is_away(uri) else self.files.get(uri)

    def _stat(self, uri: str, found: File) -> Stat:
        if self.kind == "folder":
            told = f"{len(found.body)}-{found.time.timestamp():.0f}-{found.change}"
        else:
            told = etag(
                md5(found.body, usedforsecurity=False).hexdigest(), str(found.change) if self.kind == "versioned" else None
            )
        return Stat(uri, told, len(found.body), found.time)
