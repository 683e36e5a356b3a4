"""Removes the objects of images with all versions, and finds links and uploads that hold the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from fruitpipe import objects
from fruitpipe.erasure import notes
from fruitpipe.errors import AccessDenied, FruitpipeError, NotFound

if TYPE_CHECKING:
    from datetime import datetime

REMOVERS = 16  # objects removed at the same time
MOST_FAILURES = 3
NOT_TRIED = "not tried yet: its bucket failed for others"


def remove(root: str, request: str) -> notes.Objects:
    """Removes the objects of a request and notes the outcome. Called again, it tries only those that the store refused.

    An object that is there after its removal was put back since: it is a new image and is not touched.
    """
    paths, before = notes.names(root, request), notes.objects_of(root, request)
    todo = list(range(len(paths))) if before is None else [place for place, _ in sorted(before.left, key=_is_tried)]
    linked = _linked([paths[place] for place in todo])
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-erase") as removers:
        outcomes = list(zip(todo, removers.map(_Remover(), [paths[place] for place in todo]), strict=True))
    _abort_uploads_of({paths[place] for place in todo})
    # The command and the stream may be at it together, one of them without the right: what the other has removed is not left.
    noted = notes.objects_of(root, request)
    left = frozenset(place for place, _ in noted.left) if noted and noted != before else frozenset(todo)
    earlier = noted or notes.Objects()
    done = notes.Objects(
        earlier.removed + sum(outcome for _, outcome in outcomes if isinstance(outcome, int)),
        tuple((place, outcome) for place, outcome in outcomes if isinstance(outcome, str) and place in left),
        tuple(dict.fromkeys([*earlier.linked, *linked])),
    )
    notes.keep_objects(root, request, done)
    return done


class _Remover:
    """Removes objects one by one: one image's store holds up neither the others nor the stream.

    A bucket that failed MOST_FAILURES times is asked no more: each time takes all retries, and there may be 10,000 images in it.
    """

    def __init__(self) -> None:
        self._failures = Counter[str]()

    def __call__(self, path: str) -> int | str:
        """How many versions were removed, or why the store did not."""
        bucket = objects.bucket(path)
        if bucket and self._failures[bucket] >= MOST_FAILURES:
            return NOT_TRIED
        try:
            return objects.erase(path)
        except AccessDenied as error:
            return reason(error)
        except FruitpipeError as error:
            self._failures[bucket] += 1
            return _failure(path, error)


def _is_tried(left: tuple[int, str]) -> bool:
    return left[1] != NOT_TRIED


def _failure(path: str, error: FruitpipeError) -> str:
    """What the store said of an image, in a few words, without its name."""
    said = str(error).removeprefix(f"{path}: ").partition(";")[0]
    return "the store failed" if any(objects.name(path) in one for one in (said, unquote(said), unquote_plus(said))) else said


def _linked(paths: Sequence[str]) -> list[str]:
    """The URIs that symbolic links lead to, and a sentence on each file with more hard links than `paths`."""
    links = [link for path in paths if (link := objects.link(path))]
    names, ours = (
        {link.file: link.names for link in links if not link.target},
        Counter(link.file for link in links if not link.target),
    )
    others = [
        f"the file with inode {file}, which has {names[file] - ours[file]} more names"
        for file in names
        if names[file] > ours[file]
    ]
    return [*(link.target for link in links if link.target), *others]


def still_linked(linked: Sequence[str]) -> list[str]:
    """The targets of symbolic links that are still there, as far as is known. Other hard links cannot be found any more."""
    return [one for one in linked if one.startswith("file://") and _may_exist(one)]


def _may_exist(uri: str) -> bool:
    try:
        return objects.exists(uri)
    except FruitpipeError:
        return True


def uploads_of(paths: Collection[str]) -> list[objects.Upload]:
    """The incomplete multipart uploads of the images; one request for all images of a folder. Raises AccessDenied."""
    return [upload for folder in _folders(paths) for upload in objects.uploads(folder) if upload.path in paths]


def _folders(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}


def abort_uploads(root: str, before: datetime) -> int:
    """Aborts incomplete multipart uploads under the root that began `before`; returns how many. Raises AccessDenied."""
    stale = [upload for upload in objects.uploads(root) if upload.begun < before]
    for upload in stale:
        objects.abort(upload)
    return len(stale)


def _abort_uploads_of(paths: Collection[str]) -> None:
    """Aborts them in each bucket that allows it, as the right to remove objects does not. The certificate counts those left."""
    by_bucket: dict[str, set[str]] = {}
    for folder in _folders(paths):
        by_bucket.setdefault(objects.bucket(folder), set()).add(folder)
    for folders in by_bucket.values():
        with suppress(FruitpipeError):
            for upload in (upload for folder in folders for upload in objects.uploads(folder) if upload.path in paths):
                objects.abort(upload)


def returned(paths: Sequence[str]) -> list[str]:
    """The images whose objects are there, as they were put back. Where the store refuses to say, none is assumed.

    Raises AccessDenied where it knows the credentials for invalid, PlatformFault where it does not answer.
    """
    return [path for path, look in _looks(paths) if isinstance(look, objects.Found | objects.TooLarge | objects.Withheld)]


def gone(paths: Sequence[str]) -> list[str]:
    """The images of which there is no object. Raises as `returned`."""
    return [path for path, look in _looks(paths) if isinstance(look, objects.Gone)]


def _looks(paths: Sequence[str]) -> list[tuple[str, objects.Look]]:
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-erase") as lookers:
        return list(zip(paths, lookers.map(_look, paths), strict=True))


def _look(path: str) -> objects.Look:
    try:
        return objects.look(path, max_bytes=0)
    except NotFound:  # its bucket is gone as well
        return objects.Gone()


def reason(error: AccessDenied) -> str:
    """The store's reason, without the image's name."""
    text = str(error)
    return text[text.find("access is denied") :] if "access is denied" in text else "the store refuses"
