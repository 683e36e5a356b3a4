"""A root of drawn fruits and its app, of which LiteRT's files stand for themselves: tests/browser has the real ones."""

from __future__ import annotations

import shutil

import pytest

from fruitpipe.app import golden, icons, litert
from tests.apps import ICON, PICTURES, publish, write

RUNTIME = {"index.js": b"1", "litert_wasm_internal.wasm": b"22", "litert_wasm_compat_internal.wasm": b"333"}


@pytest.fixture(scope="module", autouse=True)
def _icons():
    """Drawn once: they take longer than all else of an app."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(icons, "png", ICON)
        yield


@pytest.fixture(scope="module")
def network():
    """By which the version is: our own, where a file of tests has no other."""


@pytest.fixture(scope="module")
def published(tmp_path_factory, network):
    """A folder with a root and the images that its version was made of."""
    folder = tmp_path_factory.mktemp("published")
    publish(f"file://{folder}/root", folder / "images", network)
    return folder


@pytest.fixture(scope="module")
def whole(published):
    """An app with all golden pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litert, "files", lambda: RUNTIME)
        return published / "whole", write(f"file://{published}/root", published / "whole")


@pytest.fixture
def root(published, tmp_path, monkeypatch):
    """A copy of the root, for an app with two golden pictures."""
    monkeypatch.setattr(litert, "files", lambda: RUNTIME)
    monkeypatch.setattr(golden, "pictures", lambda: PICTURES()[:2])
    shutil.copytree(published, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("whole*", "exports.json"))
    return f"file://{tmp_path}/root"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "app"
