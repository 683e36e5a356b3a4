"""A root of drawn fruits and its app, served to Chromium."""

from __future__ import annotations

import contextlib

import pytest

from tests.apps import made_once, publish, served, write
from tests.browsers import opened


@pytest.fixture(scope="module", autouse=True)
def _made_once():
    with made_once():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a root, its app, and pictures that the version does not hold."""
    folder = tmp_path_factory.mktemp("made")
    asked = publish(f"file://{folder}/root", folder / "images")
    return folder, write(f"file://{folder}/root", folder / "app"), asked


@pytest.fixture(scope="module")
def address(made):
    with served(made[0] / "app") as address:
        yield address


@pytest.fixture(scope="module")
def shown(browser, made):
    """The page after its first visit: from then on there is no network, and no server."""
    with contextlib.ExitStack() as stack:
        with served(made[0] / "app") as address:
            found = stack.enter_context(opened(browser, f"{address}/index.html"))
            assert found.settled() == "ready"
        found.context.set_offline(True)
        yield found
        assert found.said == []
        assert [url for url in found.asked if not url.startswith(f"{address}/")] == []
