"""Manifests for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from fruitpipe import events, objects


def write_manifest(root: str, *lines: str) -> None:
    """One manifest of these lines, which came just now."""
    body = "".join(f"{line}\n" for line in lines).encode()
    now = datetime.now(UTC)
    objects.write(events.manifest_uri(root, now, events.manifest_name("test", now, body)), body)
