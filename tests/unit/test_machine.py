"""What a container or an odd machine lacks is told in a line, or does not matter."""

import pytest

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import cache, jars, session


def test_a_cache_that_cannot_be_made_is_named_with_the_setting_that_moves_it(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingRequirement, match=rf"{tmp_path}/file/logs cannot be written; name a folder .* FRUITPIPE_CACHE"):
        cache.made("logs")


def test_a_user_id_without_a_name_is_refused_before_java_starts(monkeypatch):
    monkeypatch.setattr(session.os, "getuid", lambda: 4_000_000_001)
    with pytest.raises(MissingRequirement, match=r"user id 4000000001 has no name in /etc/passwd"):
        session.open("fruitpipe tests")


@pytest.mark.parametrize(("given", "java_has"), [("C", "C.UTF-8"), ("POSIX", "C.UTF-8"), ("de_DE.UTF-8", None), (None, None)])
def test_java_names_files_outside_of_ascii_whatever_the_locale(monkeypatch, given, java_has):
    monkeypatch.delenv("LC_ALL", raising=False)
    if given:
        monkeypatch.setenv("LC_ALL", given)
    assert jars.spark_environment().get("LC_ALL") == java_has
