"""The error for bytes that give no features."""

from __future__ import annotations


class BadImage(Exception):
    """Bytes that cannot be featurised. reason: a reason code of the table. message: a sentence for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
