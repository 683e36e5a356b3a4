"""Writes the app: a page with its service worker, and beside them a folder for each version that holds all it needs.

    OUT/index.html, manifest.json, sw.js, icon-*.png    name the newest version's folder; written last
    OUT/v000012-0123456789abcdef/                       never changes: the digits are a hash of what is in it
        contract.json, page.js, …, model.tflite, classifier.json, classifier.bin
        runtime/, golden/

A page that is open goes on with the folder that it began with, so the one before the newest stays. One whose version is not
published any more goes.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.app import classifier_file, contract, litert, place, shell
from fruitpipe.errors import Conflict
from fruitpipe.export import register
from fruitpipe.export.register import Export
from fruitpipe.refit import publication

if TYPE_CHECKING:
    from fruitpipe.app.contract import Named
    from fruitpipe.identification.identifier import Identifier


class Written(NamedTuple):
    """What was written: the app, the number of its golden pictures, the least cosine of those that Python decodes at a fraction,
    and bytes, in all and of what one browser fetches.
    """

    app: Export
    pictures: int
    least_scaled: float
    bytes: int
    fetched: int


def write(identifier: Identifier, to: str, title: str) -> Written:
    """Writes the app of the identifier's version to a place, a path or URI.

    Raises WrongUsage for a place that holds something else, WrongModel, MissingRequirement, Conflict where the version was
    withdrawn, or its app replaced by another run, meanwhile.
    """
    root, to = objects.canonical(identifier.root), objects.canonical(to)
    place.check(root, to)
    found, flatbuffer = contract.named(identifier)
    files = _files(identifier, found, flatbuffer)
    said = contract.of(identifier, found, files)
    app = Export(to, f"{identifier.version}-{hashlib.sha256(said).hexdigest()[: place.DIGITS]}", identifier.version)
    is_new = app not in register.every(root)
    register.add(root, app)  # from here on an erasure names it
    for name, body in (files | {"contract.json": said}).items():
        objects.write_for_browsers(objects.join(app.uri, name), body, lasts=True)
    if not register.stands(root, app):  # the page that is there stays as it is, and perhaps has this folder
        if is_new:
            place.remove(root, app)
        raise Conflict(
            f"{app.version} was withdrawn or replaced meanwhile, and the page at {to} is as it was; run the command again"
        )
    for name, body in shell.files(app.folder, title, publication.versions(root)).items():
        objects.write_for_browsers(objects.join(to, name), body, lasts=False)
    place.remove_old(root, app)
    fetched = sum(len(body) for name, body in files.items() if litert.build_of(name) != "compat")
    return Written(app, len(found.pictures), min(found.scaled.values(), default=1), sum(map(len, files.values())), fetched)


def _files(identifier: Identifier, found: Named, flatbuffer: bytes) -> dict[str, bytes]:
    """All files of the version's folder but the contract, by their paths in it."""
    words = json.dumps(classifier_file.words(identifier.classifier), ensure_ascii=False).encode()
    pages = {one.name: one.read_bytes() for one in shell.sources() if one.name not in (*shell.NAMES, shell.REMOVED)}
    golden = {f"golden/{one.name}": one.body for one in found.pictures}
    return (
        pages
        | {"model.tflite": flatbuffer, "classifier.json": words, "classifier.bin": classifier_file.numbers(identifier.classifier)}
        | {f"runtime/{name}": body for name, body in litert.files().items()}
        | golden
        | {"golden/vectors.bin": found.vectors.astype("<f4").tobytes()}
    )
