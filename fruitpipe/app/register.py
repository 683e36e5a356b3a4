"""Where the apps of a root's versions were put: `<root>/models/apps.json`, so that an erasure names those that held an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.errors import Conflict, Damaged, NotFound
from fruitpipe.refit import publication

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "apps.json"
ATTEMPTS = 8


class App(NamedTuple):
    """An app of a version: the URI of the place, and the folder there that holds what was made of the version."""

    place: str
    folder: str
    version: str

    @property
    def uri(self) -> str:
        """Of the folder."""
        return objects.join(self.place, self.folder)


def every(root: str) -> list[App]:
    """All that were written and not removed, the newest last. Raises Damaged."""
    return _read(root)[0]


def withdrawn(root: str) -> list[App]:
    """Those of versions that are not published any more, as an erasure withdrew them or newer ones took their place."""
    published = publication.versions(root)
    return [app for app in every(root) if app.version not in published]


def add(root: str, app: App) -> None:
    """Notes an app as the newest; before it is written, so that none is forgotten."""
    _update(root, lambda apps: [*(one for one in apps if one != app), app])


def drop(root: str, gone: App) -> None:
    """Forgets an app, which was removed."""
    _update(root, lambda apps: [app for app in apps if app != gone])


def _update(root: str, change: Callable[[list[App]], list[App]]) -> None:
    for _ in range(ATTEMPTS):
        apps, etag = _read(root)
        body = json.dumps([app._asdict() for app in change(apps)], indent=1, ensure_ascii=False).encode()
        try:
            objects.write(_uri(root), body, if_absent=etag is None, if_etag=etag)
        except Conflict:  # another was noted at the same moment
            continue
        return
    raise Conflict(f"{_uri(root)}: changed {ATTEMPTS} times meanwhile; run the command again")


def _read(root: str) -> tuple[list[App], str | None]:
    uri = _uri(root)
    try:
        body, etag = objects.read_with_etag(uri)
    except NotFound:
        return [], None
    try:
        return [App(**one) for one in json.loads(body)], etag
    except (ValueError, TypeError) as error:
        raise Damaged(
            f"{uri}: does not read back ({error}); remove it, and run fruitpipe app --root {root} OUT again for each OUT"
        ) from error


def _uri(root: str) -> str:
    return objects.join(objects.canonical(root), "models", FILE)
