"""Manifests for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from fruitpipe import objects
from fruitpipe.root import manifests


def write_manifest(root: str, *lines: str) -> None:
    """One manifest of these lines, which came just now."""
    body = "".join(f"{line}\n" for line in lines).encode()
    now = datetime.now(UTC)
    objects.write(manifests.manifest_uri(root, now, manifests.manifest_name("test", now, body)), body)
