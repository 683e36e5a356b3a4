"""The error for bytes that give no features."""

from __future__ import annotations

MESSAGE_CHARACTERS = 300  # of a message that is another's, such as a decoder's


class BadImage(Exception):
    """Bytes that cannot be featurised. reason: a reason code of the table. message: a sentence for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
