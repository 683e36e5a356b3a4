"""A proxy before an S3 server that counts requests, makes them take as long as on a real network, and fails some of them.

    python tests/s3_proxy.py --to http://127.0.0.1:7070 [--port 7071] [--delay-seconds 0.03] [--fail-share 0.05] [--seed 0]

Clients name the proxy as their endpoint. Their signature covers the Host header, which is passed on as it came. As a process
of its own it answers ``GET /-/counts`` with the number of requests of each kind so far, as JSON.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

# What becomes of a request that fails: it is refused, never arrives, arrives but its answer is lost, or the answer breaks off.
FAULTS = ("slow-down", "reset", "lost-answer", "broken-body")
REFUSAL = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>as the test has it</Message></Error>'
# Of one connection, not of the request; the proxy reads the body before it passes it on, so nobody needs to wait for its word.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection"}
BLOCK_BYTES = 1 << 16
COUNTS = "/-/counts"


@dataclass(frozen=True)
class Request:
    """One request as a client sent it. `kind` is as S3's price list has it: LIST, GET, HEAD, PUT, POST or DELETE."""

    kind: str
    path: str
    fault: str | None = None


@dataclass
class Proxy:
    """What the proxy does and has seen. The settings may be changed while it runs."""

    to: str
    delay_seconds: float = 0.0
    fail_share: float = 0.0
    seed: int = 0
    faults: tuple[str, ...] = FAULTS
    endpoint: str = ""
    # For a key, what GETs and HEADs of it are answered, one after the other, before they are passed on: HTTP status, S3's code.
    refusals: dict[str, Iterator[tuple[int, str]]] = field(default_factory=dict)
    # A piece of the keys that nobody may write; it answers 403.
    shut: str | None = None
    # Says of a request, by its method and headers, how it is to be refused: HTTP status, S3's code and message; or None.
    demands: Callable[[str, Message], tuple[int, str, str] | None] = lambda _method, _headers: None
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance, self._lock = random.Random(self.seed), threading.Lock()

    def counts(self, within: str = "") -> Counter[str]:
        """How many requests of each kind there were, of all or of those whose path holds `within`."""
        return Counter(request.kind for request in list(self.requests) if within in request.path)

    def failed(self) -> Counter[str]:
        """How many requests failed in which way."""
        return Counter(request.fault for request in list(self.requests) if request.fault)

    def refusal(self, method: str, target: str) -> tuple[int, str] | None:
        """How this request for an object is to be refused, if it is."""
        key = unquote(urlsplit(target).path).partition("/")[2].partition("/")[2]
        if self.shut and self.shut in key and method in ("PUT", "POST"):
            return 403, "AccessDenied"
        with self._lock:
            return next(self.refusals[key], None) if method in ("GET", "HEAD") and key in self.refusals else None

    def admit(self, method: str, target: str) -> str | None:
        """Notes a request and says in which way it is to fail, if it is."""
        url = urlsplit(target)
        listed = method == "GET" and ("list-type" in parse_qs(url.query, keep_blank_values=True) or url.path.count("/") == 1)
        with self._lock:
            fault = self._chance.choice(self.faults) if self._chance.random() < self.fail_share else None
            self.requests.append(Request("LIST" if listed else method, unquote(url.path), fault))
        return fault


class Handler(BaseHTTPRequestHandler):
    """One client's connection, and the connection to the server that belongs to it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy
    upstream: http.client.HTTPConnection

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(urlsplit(self.proxy.to).netloc)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        """Says nothing: what came is counted."""

    def pass_on(self) -> None:
        body = self._body()
        if self.path == COUNTS:
            self._answer(200, [("Content-Type", "application/json")], json.dumps(self.proxy.counts()).encode())
            return
        fault = self.proxy.admit(self.command, self.path)
        time.sleep(self.proxy.delay_seconds)
        refusal = (503, "SlowDown") if fault == "slow-down" else self.proxy.refusal(self.command, self.path)
        if demand := self.proxy.demands(self.command, self.headers):
            refused = REFUSAL.format(demand[1]).replace("as the test has it", demand[2])
            self._answer(demand[0], [("Content-Type", "application/xml")], refused.encode())
        elif refusal:
            self._answer(refusal[0], [("Content-Type", "application/xml")], REFUSAL.format(refusal[1]).encode())
        elif fault == "reset":
            self._reset()
        else:
            self._ask(body, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 - the base class's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _ask(self, body: bytes, fault: str | None) -> None:
        try:
            self._send(body)
            got = self.upstream.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.upstream.close()  # the server ends a connection that was idle for long: that is no failure to pass on
            self._send(body)
            got = self.upstream.getresponse()
        with got as answer:
            content = answer.read()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        if fault == "lost-answer" or (fault and not content):  # without a body there is nothing to break off but the answer
            self._reset()
        else:
            self._answer(answer.status, headers, content, broken=fault == "broken-body")

    def _send(self, body: bytes) -> None:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        given = [(name, value) for name, value in self.headers.items() if name.lower() not in (*HOP_BY_HOP, "content-length")]
        sized = [("Content-Length", str(len(body)))] if body or self.command in ("PUT", "POST") else []
        for name, value in given + sized:
            self.upstream.putheader(name, value)
        self.upstream.endheaders(body or None)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, broken: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if broken:
            self.wfile.write(content[: len(content) // 2])
            self._reset()
        elif self.command != "HEAD":
            self.wfile.write(content)

    def _reset(self) -> None:
        """Ends the connection as a router does that lost it: the client gets RST."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.rfile.close()
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news."""

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Closes; a connection that was reset has no end to announce."""
        self.close_request(request)


@contextmanager
def started(proxy: Proxy, port: int = 0) -> Iterator[Proxy]:
    """Runs it in this process until the block ends; `endpoint` is what clients are to be given."""
    handler = type("ProxyHandler", (Handler,), {"proxy": proxy})
    with Server(("127.0.0.1", port), handler) as server:
        proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        # It looks this often whether it is to end, by default twice a second, which each test would wait for.
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description="A proxy before an S3 server that counts, delays and fails requests.")
    parser.add_argument("--to", required=True, help="the S3 server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-seconds", type=float, default=0.0, help="how much longer each request takes")
    parser.add_argument("--fail-share", type=float, default=0.0, help="share of the requests that fail")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    proxy = Proxy(given.to, given.delay_seconds, given.fail_share, given.seed)
    with started(proxy, given.port):
        print(proxy.endpoint, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
