#!/usr/bin/env bash
# Polars and a URI of an object store.
# Guess: read_json takes "s3://bucket/key" as read_parquet and read_csv do: one library, one set of stores.
# Seen (polars 2.1.0): read_json looks for a local file of that name and says that there is none, without a request, while
#        read_parquet of the same store asks the store.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars

asked = []


class Store(BaseHTTPRequestHandler):
    """Answers every request with 404, and notes it."""

    def do_GET(self):
        asked.append(self.path)
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {
    "aws_endpoint_url": f"http://127.0.0.1:{server.server_port}",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_region": "eu-west-1",
    "aws_allow_http": "true",
}


def outcome(read):
    asked.clear()
    try:
        read()
    except Exception as error:
        return type(error).__name__, len(asked)
    return "read", len(asked)


parquet = outcome(lambda: polars.read_parquet("s3://bucket/one.parquet", storage_options=options))
json = outcome(lambda: polars.read_json("s3://bucket/one.json"))
print(f"read_parquet: {parquet[0]} after {parquet[1]} requests; read_json: {json[0]} after {json[1]} requests")
assert parquet[1] > 0 and json == ("FileNotFoundError", 0), "this has changed"
PYTHON
