"""A server that takes events of OpenLineage over HTTP, as Marquez and others do, and what the specification asks of each."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class LineageServer:
    """What was sent: each body as text, its headers, and the client's port. status: what it answers."""

    def __init__(self):
        self.bodies, self.headers, self.ports, self.status = [], [], [], 201

    @property
    def events(self):
        """The events, in the order in which they came; each is as the specification wants it."""
        found = [json.loads(body) for body in self.bodies]
        for event in found:
            assert_is_run_event(event)
        return found

    @property
    def states(self):
        return [(event["job"]["name"], event["eventType"]) for event in self.events]


@contextmanager
def serving():
    """A server at a free port; yields it, with its `url`."""
    kept = LineageServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a client may go on with the same connection

        def do_POST(self):
            assert self.path == "/api/v1/lineage"
            kept.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            kept.headers.append(dict(self.headers))
            kept.ports.append(self.client_address[1])
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kept.url = f"http://127.0.0.1:{server.server_port}"
        yield kept
        server.shutdown()


def assert_is_run_event(event):
    """The members that the specification requires of a RunEvent, of their kinds."""
    assert event["eventType"] in ("START", "COMPLETE", "FAIL", "ABORT")
    assert datetime.fromisoformat(event["eventTime"]).tzinfo
    assert is_uri(event["producer"])
    assert event["schemaURL"].endswith("OpenLineage.json#/$defs/RunEvent")
    uuid.UUID(event["run"]["runId"])
    assert event["job"]["namespace"]
    assert event["job"]["name"]
    facets = [event["run"]["facets"], event["job"]["facets"]]
    for dataset in (*event["inputs"], *event["outputs"]):
        assert dataset["namespace"]
        assert dataset["name"]
        facets += [dataset["facets"], dataset.get("inputFacets", {}), dataset.get("outputFacets", {})]
    for facet in (one for several in facets for one in several.values()):
        assert is_uri(facet["_producer"])
        assert is_uri(facet["_schemaURL"])


def is_uri(text):
    return bool(urlsplit(text).scheme and urlsplit(text).path)


def counts(event):
    """What a run counted."""
    return {name: count for name, count in event["run"]["facets"]["fruitpipe_counts"].items() if not name.startswith("_")}
