"""Pictures for tests, drawn when needed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(seed: int = 0, size: int = 100) -> bytes:
    """The bytes of a smooth, colourful JPEG; another one for each seed."""
    buffer = io.BytesIO()
    _picture(seed, size).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def png(seed: int = 0, size: int = 100) -> bytes:
    """The same picture as a PNG."""
    buffer = io.BytesIO()
    _picture(seed, size).save(buffer, "PNG")
    return buffer.getvalue()


def _picture(seed: int, size: int) -> Image.Image:
    waves = np.random.default_rng(seed).uniform(0.5, 3.0, (3, 2))
    y, x = np.mgrid[0:size, 0:size] / size * 2 * np.pi
    pixels = np.stack([127.5 + 127 * np.sin(across * x + along * y + seed) for across, along in waves], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def put(path: Path, body: bytes) -> str:
    """Writes a file, with its folders, and returns its canonical URI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return f"file://{path}"


def fill(folder: Path, count: int, label: str = "Kiwi", first: int = 0) -> list[str]:
    """`count` different pictures of one label."""
    return [put(folder / label / f"{seed:04d}.jpg", jpeg(seed)) for seed in range(first, first + count)]
