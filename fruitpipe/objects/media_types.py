"""What S3 is told of an object's content, and tells browsers, which run no script whose type is not said."""

from __future__ import annotations

OF_ENDINGS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
}


def request(key: str) -> dict[str, str]:
    """What a request that writes the object says of its type; nothing where its name tells none."""
    named = OF_ENDINGS.get(key.rpartition(".")[2].lower())
    return {"ContentType": named} if named else {}


def caching(lasts: bool) -> dict[str, str]:
    """What browsers, and servers before the bucket, are told of keeping it. lasts: the name never gets other bytes."""
    return {"CacheControl": "max-age=31536000, immutable" if lasts else "no-cache"}
