"""Ports for the servers that tests start."""

from __future__ import annotations

import random
import socket

# Below those that a system gives to outgoing connections, of which others may take one before the server listens.
CANDIDATES = range(20_000, 30_000)


def free_port() -> int:
    """A port that nobody listens on, by chance: another process that asks at the same moment gets another."""
    for port in random.SystemRandom().sample(CANDIDATES, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("of 100 ports none was free")
