"""What a network is to be given of a picture: its size, and how a channel's values of 0 to 255 are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from PIL import Image

BICUBIC = 3  # `PIL.Image.Resampling.BICUBIC`: who loads a model file need not import Pillow


@dataclass(frozen=True)
class Preprocessing:
    """Bicubic to (height_px, width_px), the whole picture and not a part of it; then (value - mean) / scale, for each channel."""

    height_px: int
    width_px: int
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """What was written as JSON."""
        red, green, blue = map(float, fields["mean"])
        of_red, of_green, of_blue = map(float, fields["scale"])
        size = int(fields["height_px"]), int(fields["width_px"])
        return cls(*size, (red, green, blue), (of_red, of_green, of_blue))

    def __call__(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """(height_px, width_px, 3) float32 of an RGB picture of any size."""
        small = image.resize((self.width_px, self.height_px), BICUBIC)
        mean, scale = (np.tile(np.array(values, np.float32), self.width_px) for values in (self.mean, self.scale))
        rows = np.asarray(small, dtype=np.float32).reshape(self.height_px, -1)  # NumPy is slow along an axis of three
        pixels: npt.NDArray[np.float32] = (rows / scale - mean / scale).reshape(self.height_px, self.width_px, 3)
        return pixels


# Of MobileNetV2, as Keras's `preprocess_input` has it: x / 127.5 - 1, of 224 x 224.
STANDARD = Preprocessing(224, 224, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
