"""The files beside the versions' folders: the page, its service worker, the manifest that lets it be installed, icons."""

from __future__ import annotations

import hashlib
import json
from html import escape
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from fruitpipe.app import icons

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable

PAGE, WORKER, MANIFEST = "index.html", "sw.js", "manifest.json"
REMOVED = "removed.js"  # is written in place of the worker where an app is taken away
ICONS = {"icon-192.png": (192, False), "icon-512.png": (512, False), "icon-full.png": (512, True), "icon-touch.png": (180, True)}
NAMES = (PAGE, WORKER, MANIFEST, *ICONS)
DIGITS = 16
GROUND = "#faf4e8"


def files(folder: str, title: str, published: Sequence[str]) -> dict[str, bytes]:
    """By name, the page last. They name the newest folder and the published versions.

    Both page and worker hold the first digits of a hash of them all, so a phone takes a new title or icon for a newer app.
    """
    texts = {one.name: one.read_text(encoding="utf-8") for one in sources() if one.name in NAMES}
    drawn = {name: icons.png(side, is_full=is_full) for name, (side, is_full) in ICONS.items()} | {MANIFEST: _manifest(title)}
    page = texts[PAGE].replace("{folder}", folder).replace("{title}", escape(title))
    worker = texts[WORKER].replace("{folder}", folder)
    digits = hashlib.sha256(b"".join([*drawn.values(), worker.encode(), page.encode()])).hexdigest()[:DIGITS]
    worker = worker.replace("{shell}", digits).replace("{published}", json.dumps(list(published)))
    return drawn | {WORKER: worker.encode(), PAGE: page.replace("{shell}", digits).encode()}


def removing_worker() -> bytes:
    """The service worker that has devices forget the app."""
    return next(one.read_bytes() for one in sources() if one.name == REMOVED)


def sources() -> list[Traversable]:
    """The files of the page as they lie in the package."""
    return [one for one in resources("fruitpipe.app").joinpath("page").iterdir() if one.is_file()]


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
