"""What is said of bytes that give no features."""

from __future__ import annotations


class BadImage(Exception):
    """These bytes are no picture that can be featurised; `reason` is a reason code, `message` says it to a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
