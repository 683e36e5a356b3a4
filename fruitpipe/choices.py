"""What flags of several commands let a user choose from."""

from __future__ import annotations

import enum


class Precision(enum.StrEnum):
    """What the network computes in: the flag ``--extractor``."""

    float32 = "float32"
    int8 = "int8"


class Decoding(enum.StrEnum):
    """How large photographs are decoded: at a fraction of their size, or in full."""

    scaled = "scaled"
    full = "full"
