"""Roots and apps as tests want them: a version of drawn fruits, made without Spark, and its page."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fruitpipe import settings
from fruitpipe.app import folder, golden, icons, litert
from fruitpipe.identification.identifier import Identifier
from fruitpipe.pictures import drawn
from tests.versions import publish_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fruitpipe.app.folder import Written
    from fruitpipe.extractor.inference import ModelFile

LABELS, EACH = 4, 6
PICTURES, RUNTIME, ICON = (functools.cache(made) for made in (golden.pictures, litert.files, icons.png))


@contextlib.contextmanager
def made_once() -> Iterator[None]:
    """Until the block ends, what all apps have in common is drawn, and unpacked from npm's packages, once in a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden, "pictures", PICTURES)
        patch.setattr(litert, "files", RUNTIME)
        patch.setattr(icons, "png", ICON)
        yield


def publish(root: str, images: Path, model: ModelFile | None = None) -> list[Path]:
    """A version of drawn fruits, of which the last of each label is left out; returns the paths of those."""
    drawn.draw(images, labels=LABELS, images_per_label=EACH)
    paths = sorted(images.rglob("*.jpg"))
    publish_pictures(root, [path for path in paths if int(path.stem) < EACH - 1], model=model)
    return [path for path in paths if int(path.stem) == EACH - 1]


def write(root: str, place: str | Path, title: str = "Fruits!", model: str | None = None) -> Written:
    return folder.write(Identifier.of(root, model or settings.default_model()), str(place), title)


def contract_of(place: Path, written: Written) -> Any:
    return json.loads(Path(place, written.app.folder, "contract.json").read_bytes())


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Redirecting(_Quiet):
    """As hosts that show a page under its folder's address alone."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/index.html":
            return super().do_GET()
        self.send_response(301)
        self.send_header("Location", "/")
        self.end_headers()
        return None


@contextlib.contextmanager
def served(place: Path, handler: type[_Quiet] = _Quiet) -> Iterator[str]:
    """The address of a web server over a folder, until the block ends; a plain one, or that of another handler."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
