"""Which archive of Java classes an environment's sessions start from."""

import importlib.metadata
import sys

import pytest

import record_classes
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


def test_an_archive_of_what_was_installed_before_is_not_used_and_goes_with_the_next_recording(path_with, tmp_path):
    before = path_with(pyspark="4.0.2")
    before.touch()
    (tmp_path / "java-classes.jsa").touch()  # as it was named once
    now = path_with()
    assert class_archive.options() == []
    now.touch()
    assert class_archive.options()[0] == f"-XX:SharedArchiveFile={now}"
    with class_archive.made():
        assert list(tmp_path.glob("*.jsa")) == [now]


def test_what_a_killed_recording_left_goes_with_the_next_one(path_with, tmp_path):
    path_with()
    with class_archive.made() as folder:
        left = folder.with_name(f"{folder.name}x")
        left.mkdir()
        (left / "classes.jsa").write_bytes(b"half")
    with class_archive.made() as folder:
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]
    assert [path.name for path in tmp_path.iterdir()] == ["java-classes.lock"]


@pytest.mark.parametrize(("written", "status"), [(b"half", -9), (None, 0)])
def test_an_archive_that_java_did_not_end_is_not_kept(path_with, tmp_path, monkeypatch, written, status):
    monkeypatch.setattr(record_classes, "run_jobs", lambda *_: None)
    monkeypatch.setattr(record_classes, "end_java", lambda: status)
    monkeypatch.setenv(class_archive.RECORD, "")
    if written:
        (tmp_path / "classes.jsa").write_bytes(written)
    with pytest.raises(SystemExit, match=f"ended with {status}"):
        record_classes.record(tmp_path)
    assert not path_with().exists()
