"""The folder for what is fetched or built once."""

from __future__ import annotations

import pytest

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import jars, java, npm


@pytest.fixture
def no_folder(monkeypatch, tmp_path):
    """Names a cache that the system refuses to look at, as it does for one below a folder that may not be entered."""
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / ("x" * 300)))
    monkeypatch.setattr(npm, "_fetched", lambda _: b"")
    monkeypatch.setattr(npm.Package, "is_whole", lambda *_: True)
    java.home.cache_clear()
    yield
    java.home.cache_clear()


@pytest.mark.usefixtures("no_folder")
@pytest.mark.parametrize(
    "use",
    [lambda: jars.paths("one:jar:1"), java.home, lambda: npm.members(npm.Package("one", "1", ""), [])],
    ids=["jars", "java", "npm"],
)
def test_a_cache_that_may_not_be_entered_is_one_sentence_with_the_remedy(use):
    with pytest.raises(MissingRequirement, match="cannot be written; name a folder that can be in FRUITPIPE_CACHE"):
        use()
