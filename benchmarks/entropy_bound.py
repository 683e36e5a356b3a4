"""The bound for photographs: read, entropy decoding and the model, in as many plain processes as cores.

A JPEG is decoded at an eighth of its size: all its bits are read, and one coefficient of 64 becomes a pixel.
"""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks import bound, engine
from fruitpipe.extractor.inference import ModelFile, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

EIGHTH = 8


class Features:
    """A file's bytes to features that are near those of the picture."""

    def __init__(self, model: str) -> None:
        self._extract = Network(ModelFile.load(model).body)

    def __call__(self, body: bytes) -> NDArray[np.float32]:
        """The features, (1280,) float32."""
        with Image.open(io.BytesIO(body)) as image:
            image.draft(None, (image.width // EIGHTH, image.height // EIGHTH))
            small = image.resize((224, 224), Image.Resampling.NEAREST)
        return self._extract(np.asarray(small, np.float32) / np.float32(127.5) - np.float32(1))


if __name__ == "__main__":
    engine.run(partial(bound.bound, features=Features))
