"""Objects by URI: a local folder and an S3 bucket behind the same few verbs.

boto3 is imported by `s3_connection` alone here, and that only where a URI lies in S3.

In: URIs. Out: bytes and stats, or one of our errors. Imports: output, errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Protocol

from fruitpipe.errors import AccessDenied, NotFound
from fruitpipe.objects import local, mount_points
from fruitpipe.objects.listing import LISTERS
from fruitpipe.objects.pieces import Pieces
from fruitpipe.objects.stat import Found, Gone, Link, Look, Stat, TooLarge, Unchanged, Unreadable, Upload, Withheld
from fruitpipe.objects.uris import bucket, bucket_and_key, canonical, for_spark, is_s3, is_unfinished, join, name, real

__all__ = [
    "Found",
    "Gone",
    "Link",
    "Look",
    "Stat",
    "TooLarge",
    "Unchanged",
    "Unreadable",
    "Upload",
    "Withheld",
    "bucket",
    "bucket_and_key",
    "canonical",
    "for_spark",
    "is_s3",
    "is_unfinished",
    "join",
    "name",
    "real",
]


class Store(Protocol):
    """What `local` and `s3` have in common; a module is as good as an object."""

    def look(self, uri: str, known_etag: str | None, max_bytes: int | None) -> Look: ...
    def read_piece(self, uri: str, start: int, count: int) -> bytes: ...
    def list_all(self, uri: str, on_denied: Callable[[str], None] | None, listers: int) -> Iterator[Stat]: ...
    def children(self, uri: str) -> list[str]: ...
    def write(self, uri: str, body: bytes, if_absent: bool, if_etag: str | None) -> str: ...
    def write_for_browsers(self, uri: str, body: bytes, lasts: bool) -> None: ...
    def add(self, uri: str, body: bytes) -> None: ...
    def copy(self, uri: str, to: str) -> None: ...
    def delete(self, uri: str) -> None: ...
    def delete_all(self, uri: str) -> int: ...
    def has_versions(self, uri: str) -> bool: ...
    def erase(self, uri: str) -> int: ...
    def purge(self, uri: str) -> int: ...
    def link(self, uri: str) -> Link | None: ...
    def uploads(self, uri: str) -> Iterator[Upload]: ...
    def abort(self, upload: Upload) -> None: ...
    def check_drive(self, uri: str) -> None: ...
    def takes_links(self, uri: str) -> bool: ...


def check_drive(uri: str) -> None:
    """Raises PlatformFault where a folder lies on a drive that does not keep what a file system promises; makes the folder."""
    _store(uri).check_drive(uri)


def takes_links(uri: str) -> bool:
    """Whether a hard link can be made in this folder, as deltalake commits; on exFAT it cannot. A bucket needs none."""
    return _store(uri).takes_links(uri)


def look(uri: str, known_etag: str | None = None, max_bytes: int | None = None) -> Look:
    """The object at `uri`, unless it still has `known_etag` or more than `max_bytes` bytes.

    Raises PlatformFault where the store itself fails, after retries: that says nothing of the object. Raises NotFound where there
    is not even the bucket, AccessDenied where the credentials are not valid.
    """
    return _store(uri).look(uri, known_etag, max_bytes)


def read(uri: str) -> bytes:
    """The bytes at `uri`. Raises NotFound, AccessDenied."""
    return read_with_etag(uri)[0]


def read_with_etag(uri: str) -> tuple[bytes, str]:
    """The bytes at `uri` and the etag to give to a conditional `write`. Raises NotFound, AccessDenied."""
    found = look(uri)
    if isinstance(found, Found):
        return found.body, found.stat.etag
    if isinstance(found, Unreadable):
        raise AccessDenied(f"{uri}: {found.message}")
    raise NotFound(f"{uri}: there is no such object")


def opened(stat: Stat) -> Pieces:
    """The object that was listed, as a file of which only the pieces that are asked for are read.

    Reading raises NotFound, AccessDenied, PlatformFault.
    """
    return Pieces(stat.length, partial(_store(stat.path).read_piece, stat.path))


def exists(uri: str) -> bool:
    """Whether there is an object at `uri`, or anything below it, be it a folder that is shut. Raises NotFound, AccessDenied."""
    denied: list[str] = []
    return next(list_all(uri, denied.append), None) is not None or bool(denied)


def list_all(uri: str, on_denied: Callable[[str], None] | None = None, listers: int = LISTERS) -> Iterator[Stat]:
    """Every object below `uri` (or at it), in no promised order; nothing where there is nothing.

    One S3 request for 1,000 objects, `listers` at the same time. Raises NotFound for a bucket that does not exist, AccessDenied.
    on_denied: called with the URI of a folder or file below that cannot be read, which is left out; without it, that is raised.
    """
    return _store(uri).list_all(uri, on_denied, listers)


def device(uri: str) -> int | None:
    """The number of the file system that holds a folder; None where there is no folder, and in S3."""
    return None if is_s3(uri) else local.device(uri)


def mounts_below(uri: str) -> list[str]:
    """The folders below `uri` at which other file systems are mounted; none in S3."""
    return [] if is_s3(uri) else mount_points.below(uri)


def children(uri: str) -> list[str]:
    """The names directly below `uri`, folders with a trailing slash, sorted."""
    return sorted(_store(uri).children(uri))


def write(uri: str, body: bytes, *, if_absent: bool = False, if_etag: str | None = None) -> str:
    """Writes the whole object in one step and returns its etag.

    With `if_absent` or `if_etag` it raises Conflict, and writes nothing, where the object is there already or no longer has
    that etag.
    """
    return _store(uri).write(uri, body, if_absent, if_etag)


def write_for_browsers(uri: str, body: bytes, *, lasts: bool) -> None:
    """Writes an object that anybody may read over the web: never with the key of KMS, which only those with rights can read by.

    lasts: whether browsers may keep what has this name for good; else they ask each time whether it changed.
    """
    _store(uri).write_for_browsers(uri, body, lasts)


def add(uri: str, body: bytes) -> None:
    """Writes an object that nobody looks for yet, under a name that was never used: it is whole when this returns.

    A file is not put in place of another, as `write` does, so what is left of one that was begun has no hidden name.
    """
    _store(uri).add(uri, body)


def copy(uri: str, to: str) -> None:
    """Copies an object to another URI of the same kind of store, without passing its bytes through here where it can."""
    _store(uri).copy(uri, to)


def delete(uri: str) -> None:
    """Removes the object at `uri`; one that is not there is as good as removed."""
    _store(uri).delete(uri)


def delete_all(uri: str) -> int:
    """Removes every object below `uri` and says how many there were."""
    return _store(uri).delete_all(uri)


def drop_version(uri: str, etag: str) -> None:
    """Removes the version of the object that had that etag, where a bucket of S3 keeps it; the current one it must not be."""
    from fruitpipe.objects import s3

    s3.drop_version(uri, etag)


def store_time(uri: str) -> datetime:
    """What time it is by the clock of the bucket that a URI in S3 lies in, to a second. Raises NotFound, AccessDenied."""
    from fruitpipe.objects import s3

    return s3.store_time(uri)


def region(uri: str) -> str:
    """The region of the bucket that a URI in S3 lies in. Raises NotFound, AccessDenied."""
    from fruitpipe.objects import s3

    return s3.region(uri)


def server() -> str:
    """Who answers for S3 in this process: ``AWS``, or another server's URL, by whichever setting it was given."""
    from fruitpipe.objects import s3

    return s3.server()


def has_versions(uri: str) -> bool:
    """Whether the store keeps any version of the object, the current one or one that was removed or overwritten.

    A bucket that is not there keeps none. Raises AccessDenied where nobody can tell.
    """
    return _store(uri).has_versions(uri)


def erase(uri: str) -> int:
    """Removes the object at `uri` with every version of it that the store keeps, and says how many those were.

    A bucket that is not there keeps none. Raises AccessDenied where a version is locked or the permission to remove versions is
    missing, PlatformFault where the store cannot remove anything.
    """
    return _store(uri).erase(uri)


def purge(uri: str) -> int:
    """Removes the versions below `uri` that are not current any more, and says how many; a plain store keeps none."""
    return _store(uri).purge(uri)


def link(uri: str) -> Link | None:
    """What keeps the bytes of the object at `uri` when that name of them is removed; None where nothing does."""
    return _store(uri).link(uri)


def uploads(uri: str) -> Iterator[Upload]:
    """The uploads in parts below `uri`, or to it, that were begun and not completed. Raises AccessDenied."""
    return _store(uri).uploads(uri)


def abort(upload: Upload) -> None:
    """Removes the parts of an upload; whoever is still at it cannot complete it any more. Raises AccessDenied."""
    _store(upload.path).abort(upload)


def _store(uri: str) -> Store:
    if not is_s3(uri):
        return local
    from fruitpipe.objects import s3  # boto3 takes 0.3 s to import, which a local run need not pay

    return s3
