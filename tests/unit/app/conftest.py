"""A root of drawn fruits and its app, of which LiteRT's files stand for themselves: tests/browser has the real ones."""

from __future__ import annotations

import shutil

import pytest

from fruitpipe.app import golden, litert
from tests.apps import publish, write

RUNTIME = {"index.js": b"1", "litert_wasm_internal.wasm": b"22", "litert_wasm_compat_internal.wasm": b"333"}

RUNTIME = {"index.js": b"1", "litert_wasm_internal.wasm": b"22", "litert_wasm_compat_internal.wasm": b"333"}


PICTURES = golden.pictures()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with a root and the images that its version was made of."""
    folder = tmp_path_factory.mktemp("published")
    publish(f"file://{folder}/root", folder / "images")
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
    monkeypatch.setattr(golden, "pictures", lambda: PICTURES[:2])
    shutil.copytree(published, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("whole*", "exports.json"))
    return f"file://{tmp_path}/root"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "app"
