"""The place that apps of a root are put at: whether one may be, and the removal of those that nobody is to open any more."""

from __future__ import annotations

import json
import re

from fruitpipe import objects
from fruitpipe.app import shell
from fruitpipe.errors import NotFound, WrongUsage
from fruitpipe.export import register
from fruitpipe.export.place import check_outside, examples, root_digits
from fruitpipe.export.register import Export

DIGITS = 16  # of a folder's name
FOLDER = re.compile(rf"(v\d{{6,}})-[0-9a-f]{{{DIGITS}}}/")
KEPT = 2  # folders: that of the page, and the one before, which a page may have open
HARMLESS = ("CNAME", "robots.txt", "404.html")  # that hosts of static files ask for; and names that begin with . or _


def check(root: str, to: str) -> None:
    """Raises WrongUsage where an app of the root cannot be put."""
    check_outside(root, to)
    _take_in(root, to)
    if not _here(root, to):
        _check_new(to)


def remove_old(root: str, written: Export) -> None:
    """Removes what nobody is to open any more at the place of the newest app: what lies there of versions that are not published
    any more, and of the others all but the newest two.
    """
    here, withdrawn = _here(root, written.place), register.withdrawn(root)
    for app in here:
        if app != written and (app in withdrawn or app not in here[-KEPT:]):
            remove(root, app)


def remove(root: str, app: Export) -> None:
    """Removes an app's folder, with what a bucket with versions keeps of it, and only then forgets it."""
    objects.delete_all(app.uri)
    objects.purge(app.uri)
    register.drop(root, app)


def take_away(root: str, to: str) -> list[Export]:
    """Removes all apps of the root at a place, and leaves a service worker that has devices forget them. Raises WrongUsage."""
    _take_in(root, to)
    if not (here := _here(root, to)):
        others = sorted({app.place for app in register.every(root) if app.kind == register.APP})
        raise WrongUsage(f"{to} holds no app of {root}; its apps lie at: {', '.join(others) or 'none'}")
    objects.write_for_browsers(objects.join(to, shell.WORKER), shell.removing_worker(), lasts=False)
    for name in shell.NAMES:
        if name != shell.WORKER:
            objects.delete(objects.join(to, name))
    for app in here:
        remove(root, app)
    return here


def _here(root: str, to: str) -> list[Export]:
    return [app for app in register.at(root, to) if app.kind == register.APP]


def _take_in(root: str, to: str) -> None:
    """Notes folders there that the root does not list, as its list was lost. Raises WrongUsage for another root's."""
    listed = {app.folder for app in _here(root, to)}
    found = [match for match in map(FOLDER.fullmatch, objects.children(to)) if match and match[0][:-1] not in listed]
    for app in [Export(to, match[0][:-1], match[1]) for match in found]:
        if _root_of(app) != root_digits(root):
            raise WrongUsage(f"{app.uri} is no app of {root}, but another root's or cut; give another place, or remove it")
        register.add(root, app)


def _root_of(app: Export) -> str | None:
    try:
        found = json.loads(objects.read(objects.join(app.uri, "contract.json")))
    except (NotFound, ValueError):
        return None
    return str(found.get("root")) if isinstance(found, dict) else None


def _check_new(to: str) -> None:
    """Raises WrongUsage for the first app at a place that holds something else; later ones leave alone what was put beside."""
    foreign = [name for name in objects.children(to) if not (name[0] in "._" or name in HARMLESS or _is_ours(to, name))]
    if foreign:
        named = examples(foreign)
        raise WrongUsage(f"{to} holds {named}, which fruitpipe app did not write; give an empty place or that of an earlier app")


def _is_ours(to: str, name: str) -> bool:
    """Whether it is the worker that an app left when it was taken away."""
    return name == shell.WORKER and b"fruitpipe" in objects.read(objects.join(to, name))
