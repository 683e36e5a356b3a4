"""npm packages without npm: from the registry of its settings, checked against the hash that it publishes."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile

import pytest

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import npm
from tests.apps import served


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return buffer.getvalue()


BODY = packed({"dist/index.js": b"export {}", "README.md": b"read me"})
PACKAGE = npm.Package("@some/core", "1.2.3", f"sha512-{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry that has the package, and a cache and a home that are empty."""
    for name in ("cache", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "registry" / "@some" / "core" / "-" / "core-1.2.3.tgz"
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    with served(tmp_path / "registry") as address:
        monkeypatch.setenv("npm_config_registry", f"{address}/")
        yield file


def test_a_package_is_fetched_once(registry, tmp_path, capsys):
    assert npm.members(PACKAGE, ["dist/index.js"]) == {"dist/index.js": b"export {}"}
    assert "Fetching @some/core 1.2.3 from npm" in capsys.readouterr().err
    registry.unlink()
    assert npm.members(PACKAGE, ["README.md"]) == {"README.md": b"read me"}
    assert (tmp_path / "cache" / "npm" / "some-core-1.2.3.tgz").read_bytes() == BODY
    assert capsys.readouterr().err == ""


def test_other_bytes_than_were_published_are_not_used(registry, tmp_path):
    registry.write_bytes(packed({"dist/index.js": b"something else"}))
    with pytest.raises(MissingRequirement, match="whose sha512 is not the one that npm published; it was not used"):
        npm.members(PACKAGE, ["dist/index.js"])
    assert not list((tmp_path / "cache").rglob("*.tgz"))


@pytest.mark.usefixtures("registry")
def test_a_file_in_the_cache_that_was_cut_is_fetched_again(tmp_path):
    kept = tmp_path / "cache" / "npm" / PACKAGE.archive
    kept.parent.mkdir()
    kept.write_bytes(BODY[:-9])
    assert npm.members(PACKAGE, ["dist/index.js"]) == {"dist/index.js": b"export {}"}
    assert kept.read_bytes() == BODY


@pytest.mark.usefixtures("registry")
def test_a_registry_that_does_not_answer_is_told_with_the_way_out(monkeypatch):
    other = npm.Package("@some/other", "1.0.0", "sha512-")
    with pytest.raises(MissingRequirement, match=r"(?i)not found.*npm pack @some/other@1\.0\.0 --pack-destination .*/npm"):
        npm.members(other, [])
    monkeypatch.setenv("npm_config_registry", "no address")
    with pytest.raises(MissingRequirement, match="npm's registry did not give it"):
        npm.members(other, [])


def test_the_registry_is_that_of_npms_settings(tmp_path):
    assert npm.registry({}, tmp_path) == npm.PUBLIC
    (tmp_path / ".npmrc").write_text(
        "; mine\nfund=false\nregistry = https://mirror.example/npm/\n@a:registry=https://other.example\n"
    )
    assert npm.registry({}, tmp_path) == "https://mirror.example/npm"
    assert npm.registry({"NPM_CONFIG_REGISTRY": "https://asked.example"}, tmp_path) == "https://asked.example"
    assert npm.registry({"npm_config_registry": ""}, tmp_path) == "https://mirror.example/npm"
