"""Shows what is held about an image. It is read from the files themselves, as the table's old files hold rows too."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fruitpipe import objects
from fruitpipe.erasure import held_rows, register, search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.unpacking import NotReadable
from fruitpipe.errors import AccessDenied


def show(root: str, path: str) -> dict[str, Any]:
    """All that is held about an image, ready for JSON: its object, its rows in every file, lines that name it, its erasures.

    path: the canonical URI. Reads every file under the root. Raises AccessDenied.
    """
    traces = Traces.of([path]).beside(held_rows.that_stay(root, frozenset({path})))
    files = [_of_file(uri, body, path, traces) for uri, body in search.bodies(search.uris_below(root))]
    return {
        "path": path,
        "object": _object(path),
        "held_in": [file for file in files if file],
        "erasures": _erasures(root, path),
    }


def _object(path: str) -> str:
    try:
        return "there" if objects.has_versions(path) else "not there"
    except AccessDenied as error:
        return f"unknown: {error}"


def _of_file(uri: str, body: bytes, path: str, traces: Traces) -> dict[str, Any] | None:
    try:
        if not search.of_file(uri, body, traces):
            return None
    except NotReadable as error:
        return {"file": uri, "rows": f"cannot be read: {error}"}
    if body.startswith(b"PAR1"):
        table = pq.read_table(pa.BufferReader(body))
        if "path" in table.schema.names:
            return {"file": uri, "rows": table.filter(pc.field("path") == path).to_pylist()}
        return {"file": uri, "rows": "named in statistics"}
    if body.startswith(b"PK\x03\x04"):
        return {"file": uri, "rows": "named among examples"}
    return {"file": uri, "lines": [line.decode("utf-8", "replace") for line in body.splitlines() if search.is_of(line, traces)]}


def _erasures(root: str, path: str) -> list[dict[str, str]]:
    records = register.every(root)
    if not records:
        return []
    hashed = register.Salt.of(root).hash(path)
    return [
        {"id": one.id, "status": one.status, "requested_at": one.requested_at, "completed_at": one.completed_at or ""}
        for one in records
        if hashed in one.images
    ]
