"""The way to Maven behind a company's proxy, and to its mirror."""

from __future__ import annotations

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fruitpipe.errors import MissingRequirement, WrongUsage
from fruitpipe.runtime import jars, network

POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>org.example</groupId><artifactId>one</artifactId><version>1.0</version></project>"""


def test_a_proxy_of_the_environment_becomes_javas_options():
    assert network.java_options({}) == []
    assert network.java_options({"https_proxy": "http://user@proxy.example:3128", "HTTP_PROXY": "proxy.example"}) == [
        "-Dhttp.proxyHost=proxy.example",
        "-Dhttp.proxyPort=80",
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]


def test_names_without_a_proxy_are_written_as_java_wants_them():
    given = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "localhost, .example.org,10.0.0.1:8443"}
    assert network.java_options(given)[-1] == "-Dhttp.nonProxyHosts=localhost|*.localhost|*.example.org|10.0.0.1|*.10.0.0.1"


def test_a_proxy_without_a_host_is_one_sentence():
    with pytest.raises(WrongUsage, match=r"HTTPS_PROXY is 'http://', which names no host; give it as http://host:port"):
        network.java_options({"HTTPS_PROXY": "http://"})


@pytest.fixture
def proxy():
    """A proxy on the loopback that has one artifact of one repository, and notes what it is asked for."""
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("one.txt", "one")
    there = {"org/example/one/1.0/one-1.0.pom": POM.encode(), "org/example/one/1.0/one-1.0.jar": jar.getvalue()}
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = there.get(self.path.removeprefix("http://maven.example/mirror/"))
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815 - the name that the library asks for

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


@pytest.mark.spark
def test_jars_come_through_the_proxy_from_the_mirror_and_what_it_lacks_is_told(proxy, tmp_path, monkeypatch):
    address, asked = proxy
    monkeypatch.setenv("HTTP_PROXY", address)
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv(network.MIRROR, "http://maven.example/mirror")
    monkeypatch.setattr(jars.cache, "folder", lambda: tmp_path)
    (jar,) = jars.paths("org.example:one:1.0")
    assert zipfile.ZipFile(jar).namelist() == ["one.txt"]
    assert {path.partition("/org/")[0] for path in asked} == {"http://maven.example/mirror"}
    with pytest.raises(MissingRequirement, match=r"org\.example:two:1\.0: Maven did not give it .* mirror in FRUITPIPE_MAVEN"):
        jars.paths("org.example:two:1.0")
