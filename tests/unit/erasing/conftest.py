"""A root with a table, and an eraser whose steps on Spark are only said to be done."""

from __future__ import annotations

import pytest

from fruitpipe.erasure import places
from fruitpipe.erasure.execution import Eraser
from fruitpipe.settings import IngestSettings
from tests.erasing import PAST, Script
from tests.rows import empty_table


@pytest.fixture
def root(tmp_path):
    empty_table(f"file://{tmp_path}/root")
    return f"file://{tmp_path}/root"


@pytest.fixture
def eraser(root, monkeypatch):
    monkeypatch.setattr(places, "on_this_machine", lambda _: [])

    def eraser(files_go_after=PAST, **given):
        settings = IngestSettings(images="/images", root=root, **{"once": True} | given)
        made = Eraser(None, settings, lambda: None)
        made._steps = Script(settings, files_go_after)
        return made

    return eraser
