"""Removes the objects of images with all versions, and finds links and uploads that hold the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure import notes
from fruitpipe.errors import AccessDenied

if TYPE_CHECKING:
    from datetime import datetime

REMOVERS = 16  # objects removed at the same time


def remove(root: str, request: str) -> notes.Objects:
    """Removes the objects of a request and notes the outcome. Called again, it tries only those that the store refused.

    An object that is there after its removal was put back since: it is a new image and is not touched.
    """
    paths, before = notes.names(root, request), notes.objects_of(root, request)
    todo = list(range(len(paths))) if before is None else [place for place, _ in before.left]
    linked = _linked([paths[place] for place in todo])
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-erase") as removers:
        outcomes = list(zip(todo, removers.map(_remove_one, [paths[place] for place in todo]), strict=True))
    _abort_uploads_of({paths[place] for place in todo})
    before = before or notes.Objects()
    done = notes.Objects(
        before.removed + sum(outcome for _, outcome in outcomes if isinstance(outcome, int)),
        tuple((place, outcome) for place, outcome in outcomes if isinstance(outcome, str)),
        tuple(dict.fromkeys([*before.linked, *linked])),
    )
    notes.keep_objects(root, request, done)
    return done


def _remove_one(path: str) -> int | str:
    """How many versions were removed, or why the store refused."""
    try:
        return objects.erase(path)
    except AccessDenied as error:
        return reason(error)


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
    """The targets of symbolic links that are still there. Other hard links cannot be found any more."""
    return [one for one in linked if one.startswith("file://") and objects.exists(one)]


def uploads_of(paths: Collection[str]) -> list[objects.Upload]:
    """The incomplete multipart uploads of the images; one request for all images of a folder. Raises AccessDenied."""
    folders = {path.rpartition("/")[0] for path in paths}
    return [upload for folder in folders for upload in objects.uploads(folder) if upload.path in paths]


def abort_uploads(root: str, before: datetime) -> int:
    """Aborts incomplete multipart uploads under the root that began `before`; returns how many. Raises AccessDenied."""
    stale = [upload for upload in objects.uploads(root) if upload.begun < before]
    for upload in stale:
        objects.abort(upload)
    return len(stale)


def _abort_uploads_of(paths: Collection[str]) -> None:
    with suppress(AccessDenied):  # the right to remove objects does not include this one: the certificate names them
        for upload in uploads_of(paths):
            objects.abort(upload)


def returned(paths: Sequence[str]) -> list[str]:
    """The images whose objects are there, as they were put back. Where the store refuses to say, none is assumed."""
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-erase") as lookers:
        looks = lookers.map(lambda path: objects.look(path, max_bytes=0), paths)
        there = (objects.Found, objects.TooLarge, objects.Withheld)
        return [path for path, look in zip(paths, looks, strict=True) if isinstance(look, there)]


def reason(error: AccessDenied) -> str:
    """The store's reason, without the image's name."""
    text = str(error)
    return text[text.find("access is denied") :] if "access is denied" in text else "the store refuses"
