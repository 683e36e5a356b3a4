"""Which archive of Java classes an environment's sessions start from."""

import importlib.metadata
import sys

import pytest

from fruitpipe.runtime import class_archive, java

VERSIONS = {"pyspark": "4.1.1", "delta-spark": "4.2.0", "java": 'JAVA_VERSION="17.0.15"'}


@pytest.fixture
def path_with(monkeypatch, tmp_path):
    """The archive's path in an environment with these versions."""

    def path_with(**others):
        versions = VERSIONS | {name.replace("_", "-"): version for name, version in others.items()}
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        monkeypatch.setattr(importlib.metadata, "version", versions.get)
        monkeypatch.setattr(java, "release", lambda: versions["java"])
        class_archive.path.cache_clear()
        return class_archive.path()

    yield path_with
    class_archive.path.cache_clear()


@pytest.mark.parametrize("other", [{"pyspark": "4.1.2"}, {"delta_spark": "4.2.1"}, {"java": 'JAVA_VERSION="17.0.16"'}])
def test_another_spark_delta_or_java_has_another_archive(path_with, other):
    assert path_with(**other) != path_with()


def test_an_archive_of_what_was_installed_before_is_not_used_and_is_one_of_the_others(path_with, tmp_path):
    before = path_with(pyspark="4.0.2")
    before.touch()
    (tmp_path / "java-classes.jsa").touch()  # as it was named once
    now = path_with()
    assert class_archive.options() == []
    now.touch()
    assert class_archive.options()[0] == f"-XX:SharedArchiveFile={now}"
    assert set(class_archive.others()) == {before, tmp_path / "java-classes.jsa"}
