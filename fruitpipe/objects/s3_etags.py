"""Etags as S3 has them, and as the rest of the package does."""

from __future__ import annotations

from typing import Any

from fruitpipe.objects.stat import etag


def quoted(etag: str) -> str:
    """The etag as S3's conditional requests take it: quoted, without the version."""
    return f'"{etag.partition("@")[0]}"'


def etag_of(answer: Any) -> str:
    """The etag, with the version where there is one, of an answer to GET, HEAD or PUT."""
    return etag(answer["ETag"], answer.get("VersionId"))
