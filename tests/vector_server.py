"""A server that speaks S3 Vectors' REST-JSON over HTTP; each request is checked against botocore's model, bounds included."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import botocore
import botocore.session
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = botocore.session.get_session().get_service_model("s3vectors")
LARGEST_REQUEST = 20 * 2**20
FILTERABLE = 2048
KINDS: dict[str, Any] = {"structure": dict, "list": list, "string": str, "integer": int, "float": float | int, "boolean": bool}
PAGE = 4  # of a list: small, so that there are several


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Vectors:
    """The state: indexes by bucket and name, the requests that came, and those that are refused."""

    def __init__(self) -> None:
        self.indexes: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.denied: set[str] = set()
        self.url = ""

    def of(self, name: str, bucket: str = "shop") -> dict[str, tuple[list[float], dict[str, Any]]]:
        return self.indexes[bucket, name]["vectors"]

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.asked)

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((operation, given))
        if operation in self.denied:
            raise Refusal(403, "AccessDeniedException", "not authorized")
        check(MODEL.operation_model(operation).input_shape, given, operation)
        if given["vectorBucketName"] != "shop":
            raise Refusal(404, "NotFoundException", "The specified vector bucket could not be found")
        return getattr(self, botocore.xform_name(operation))(given, (given["vectorBucketName"], given["indexName"]))

    def create_index(self, given: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
        if key in self.indexes:
            raise Refusal(409, "ConflictException", "there already")
        self.indexes[key] = {"about": given, "vectors": {}}
        return {"indexArn": f"arn:aws:s3vectors:eu-west-3:123456789012:bucket/{key[0]}/index/{key[1]}"}

    def get_index(self, _: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
        about = self._found(key)["about"]
        arn = f"arn:aws:s3vectors:eu-west-3:123456789012:bucket/{key[0]}/index/{key[1]}"
        return {"index": about | {"indexArn": arn, "creationTime": 1_790_000_000}}

    def delete_index(self, _: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
        self._found(key)
        del self.indexes[key]
        return {}

    def put_vectors(self, given: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
        found = self._found(key)
        plain = found["about"]["metadataConfiguration"]["nonFilterableMetadataKeys"]
        for one in given["vectors"]:
            numbers = np.array(one["data"]["float32"], np.float32).tolist()
            filterable = {name: value for name, value in one["metadata"].items() if name not in plain}
            if len(numbers) != found["about"]["dimension"] or len(json.dumps(filterable)) > FILTERABLE:
                raise Refusal(400, "ValidationException", "dimension or metadata")
            found["vectors"][one["key"]] = (numbers, one["metadata"])
        return {}

    def delete_vectors(self, given: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
        for one in given["keys"]:
            self._found(key)["vectors"].pop(one, None)
        return {}

    def list_vectors(self, given: dict[str, Any], key: tuple[str, str]) -> dict[str, Any]:
        vectors = list(self._found(key)["vectors"].items())
        first = int(given.get("nextToken", "0"))
        page = [{"key": name, "metadata": metadata} for name, (_, metadata) in vectors[first : first + PAGE]]
        return {"vectors": page} | ({"nextToken": str(first + PAGE)} if first + PAGE < len(vectors) else {})

    def _found(self, key: tuple[str, str]) -> dict[str, Any]:
        if key not in self.indexes:
            raise Refusal(404, "NotFoundException", "The specified index could not be found")
        return self.indexes[key]


def check(shape: Any, value: Any, where: str) -> None:
    """Raises Refusal where a value is not of a shape of botocore's model: its type, its members, its least and largest size."""
    kinds: dict[str, Any] = {
        "structure": dict,
        "list": list,
        "string": str,
        "integer": int,
        "float": (int, float),
        "boolean": bool,
    }
    size = value if shape.type_name == "integer" else len(value) if shape.type_name in ("list", "string") else None
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    wrong = not isinstance(value, kinds[shape.type_name]) or (
        shape.type_name == "string" and shape.enum and value not in shape.enum
    )
    if wrong or (size is not None and not (low or 0) <= size <= (high or float("inf"))):
        raise Refusal(400, "ValidationException", f"{where}: {size}")
    if shape.type_name == "list":
        for one in value:
            check(shape.member, one, where)
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        if not set(shape.required_members) <= value.keys() <= shape.members.keys():
            raise Refusal(400, "ValidationException", f"{where}: members {sorted(value)}")
        for name, one in value.items():
            check(shape.members[name], one, f"{where}.{name}")


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, vectors: Vectors, *given: Any) -> None:
        self.vectors = vectors
        super().__init__(*given)  # which answers the request

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if len(body) > LARGEST_REQUEST:
                raise Refusal(413, "ValidationException", "too large")
            self._send(200, self.vectors.answer(self.path.strip("/"), json.loads(body)))
        except Refusal as refusal:
            self._send(refusal.status, {"message": str(refusal)}, refusal.code)

    def log_message(self, *_: Any) -> None:
        pass

    def _send(self, status: int, answer: dict[str, Any], error: str = "") -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if error:
            self.send_header("x-amzn-errortype", error)
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def served() -> Iterator[Vectors]:
    """A server with the vector bucket `shop`, until the block ends."""
    vectors = Vectors()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, vectors))
    vectors.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield vectors
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
