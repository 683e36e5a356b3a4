"""Writes the app: a page with its service worker, and beside them a folder for each version that holds all it needs.

    OUT/index.html, manifest.json, sw.js, icon-*.png    name the newest version's folder; written last
    OUT/v000012-1a2b3c4d/                               never changes: the digits are a hash of what is in it
        contract.json, page.js, …, model.tflite, classifier.json, classifier.bin
        runtime/, golden/

A page that is open goes on with the folder that it began with, so the one before the newest stays. One whose version is not
published any more goes.
"""

from __future__ import annotations

import hashlib
import json
import re
from html import escape
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any, NamedTuple

from fruitpipe import objects
from fruitpipe.app import classifier_file, contract, icons, litert, register
from fruitpipe.app.register import App
from fruitpipe.errors import Conflict, WrongUsage
from fruitpipe.pictures import naming
from fruitpipe.root import layout

if TYPE_CHECKING:
    from fruitpipe.app.contract import Named
    from fruitpipe.identification.identifier import Identifier

SHELL = ("index.html", "sw.js", "manifest.json")
ICONS = {"icon-192.png": (192, False), "icon-512.png": (512, False), "icon-full.png": (512, True), "icon-touch.png": (180, True)}
FOLDER = re.compile(r"v\d{6,}-[0-9a-f]{8}/")
DIGITS = 8
KEPT = 2  # folders: that of the page, and the one before, which a page may have open
GROUND = "#faf4e8"
EXAMPLES = 3


class Written(NamedTuple):
    """What was written: the app, the number of its golden pictures, and bytes, in all and of what one browser fetches."""

    app: App
    pictures: int
    bytes: int
    fetched: int


def write(identifier: Identifier, place: str, title: str) -> Written:
    """Writes the app of the identifier's version to `place`, a path or URI.

    Raises WrongUsage for a place that holds something else, WrongModel, MissingRequirement, Conflict where the version was
    withdrawn meanwhile.
    """
    root, to = objects.canonical(identifier.root), objects.canonical(place)
    check_place(root, to)
    found, flatbuffer = contract.named(identifier)
    files = _files(identifier, found, flatbuffer)
    said = contract.of(identifier, found, files)
    app = App(to, f"{identifier.version}-{hashlib.sha256(said).hexdigest()[:DIGITS]}", identifier.version)
    register.add(root, app)  # from here on an erasure names it
    for name, body in (files | {"contract.json": said} | _shell(app.folder, title)).items():
        objects.write(objects.join(to if name in (*SHELL, *ICONS) else app.uri, name), body)
    _remove_old(root, app)
    fetched = sum(len(body) for name, body in files.items() if litert.build_of(name) != "compat")
    return Written(app, len(found.pictures), sum(map(len, files.values())), fetched)


def check_place(root: str, to: str) -> None:
    """Raises WrongUsage where an app cannot be put."""
    if layout.is_within(to, root):
        raise WrongUsage(f"{to} lies in the root {root}, which holds what is not to be served; give another place")
    if any(layout.is_within(to, images) for images in naming.of(root).prefixes):
        raise WrongUsage(f"{to} lies among the images of {root}, where its pictures would count as some; give another place")
    foreign = [name for name in objects.children(to) if name not in (*SHELL, *ICONS) and not FOLDER.fullmatch(name)]
    if foreign:
        named = ", ".join(foreign[:EXAMPLES]) + (f" and {len(foreign) - EXAMPLES} more" if len(foreign) > EXAMPLES else "")
        raise WrongUsage(f"{to} holds {named}, which fruitpipe app did not write; give an empty place or that of an earlier app")


def _files(identifier: Identifier, found: Named, flatbuffer: bytes) -> dict[str, bytes]:
    """All files of the version's folder but the contract, by their paths in it."""
    words = json.dumps(classifier_file.words(identifier.classifier), ensure_ascii=False).encode()
    pages = {one.name: one.read_bytes() for one in _sources() if one.name not in SHELL}
    golden = {f"golden/{one.name}": one.body for one in found.pictures}
    return (
        pages
        | {"model.tflite": flatbuffer, "classifier.json": words, "classifier.bin": classifier_file.numbers(identifier.classifier)}
        | {f"runtime/{name}": body for name, body in litert.files().items()}
        | golden
        | {"golden/vectors.bin": found.vectors.astype("<f4").tobytes()}
    )


def _shell(folder: str, title: str) -> dict[str, bytes]:
    """The files that lie beside the folders, the page last."""
    texts = {one.name: one.read_text(encoding="utf-8") for one in _sources() if one.name in SHELL}
    drawn = {name: icons.png(side, is_full=is_full) for name, (side, is_full) in ICONS.items()}
    page = texts["index.html"].replace("{folder}", folder).replace("{title}", escape(title))
    worker = texts["sw.js"].replace("{folder}", folder)
    return drawn | {"manifest.json": _manifest(title), "sw.js": worker.encode(), "index.html": page.encode()}


def _manifest(title: str) -> bytes:
    shapes = {True: "maskable", False: "any"}
    told = {
        "name": title,
        "short_name": title,
        "id": "index.html",
        "start_url": "index.html",
        "display": "standalone",
        "background_color": GROUND,
        "theme_color": GROUND,
        "icons": [
            {"src": name, "sizes": f"{side}x{side}", "type": "image/png", "purpose": shapes[is_full]}
            for name, (side, is_full) in ICONS.items()
        ],
    }
    return json.dumps(told, indent=1, ensure_ascii=False).encode()


def _sources() -> list[Any]:
    return [one for one in resources("fruitpipe.app").joinpath("page").iterdir() if one.is_file()]


def _remove_old(root: str, written: App) -> None:
    """Removes what nobody is to open any more at the same place: what lies there of versions that are not published any more, and
    of the others all but the newest two. Raises Conflict where the new one's version was withdrawn.
    """
    here = [app for app in register.every(root) if app.place == written.place]
    withdrawn = register.withdrawn(root)
    for app in [app for app in here if app in withdrawn or app not in here[-KEPT:]]:
        objects.delete_all(app.uri)
        if app in withdrawn:
            objects.purge(app.uri)  # a bucket with versions would keep what may have been erased
        register.drop(root, app)
    if written in withdrawn:
        raise Conflict(f"{written.version} was withdrawn meanwhile, and {written.place} is without it; run the command again")
