"""The images' objects themselves, removed with all versions, and what still holds their bytes under another name."""

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
    """Removes those of a request that were not removed yet, and keeps a note of what became of all.

    What is there once an object was removed is a new picture, and is not touched: only what the store refused is tried again.
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
    """How many versions went, or why none did."""
    try:
        return objects.erase(path)
    except AccessDenied as error:
        return reason(error)


def _linked(paths: Sequence[str]) -> list[str]:
    """The URIs that symbolic links lead to, and a word on each file that has names besides those."""
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
    """The targets of links that are still there; what other names a file has is not known any more."""
    return [one for one in linked if one.startswith("file://") and objects.exists(one)]


def uploads_of(paths: Collection[str]) -> list[objects.Upload]:
    """What was begun to be uploaded in parts as one of the images; asks once for all images of a folder. Raises AccessDenied."""
    folders = {path.rpartition("/")[0] for path in paths}
    return [upload for folder in folders for upload in objects.uploads(folder) if upload.path in paths]


def abort_uploads(root: str, before: datetime) -> int:
    """Aborts what was begun to be uploaded in parts under the root before a time. Raises AccessDenied."""
    stale = [upload for upload in objects.uploads(root) if upload.begun < before]
    for upload in stale:
        objects.abort(upload)
    return len(stale)


def _abort_uploads_of(paths: Collection[str]) -> None:
    with suppress(AccessDenied):  # whoever may remove an object need not be allowed to ask for these: the certificate names them
        for upload in uploads_of(paths):
            objects.abort(upload)


def returned(paths: Sequence[str]) -> list[str]:
    """The images that were put there anew. A store that refuses may do so for what is not there: that names no image again."""
    with ThreadPoolExecutor(REMOVERS, "fruitpipe-erase") as lookers:
        looks = lookers.map(lambda path: objects.look(path, max_bytes=0), paths)
        there = (objects.Found, objects.TooLarge, objects.Withheld)
        return [path for path, look in zip(paths, looks, strict=True) if isinstance(look, there)]


def reason(error: AccessDenied) -> str:
    """The store's own word, without the image's name."""
    text = str(error)
    return text[text.find("access is denied") :] if "access is denied" in text else "the store refuses"
