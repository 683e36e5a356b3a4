"""MobileNetV2 1.0/224 without its top, as a list of convolutions: the order in which Keras keeps their weights.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2. Names are those of
`keras.applications.MobileNetV2`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Expansion, output channels, repetitions, stride of the first: a row of the paper's table each.
BOTTLENECKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
FEATURES = 1280
EPSILON = 1e-3  # of batch normalisation, added to the variance

Floats = npt.NDArray[np.float32]


class Layer(NamedTuple):
    """A convolution with batch normalisation after it.

    kernel: shape as Keras has it, (height, width, in, out), and (height, width, channels, 1) where it is depthwise.
    is_linear: no ReLU6 follows. is_residual: the input of its bottleneck is added to its output.
    """

    name: str
    kernel: tuple[int, int, int, int]
    stride: int = 1
    is_depthwise: bool = False
    is_linear: bool = False
    is_residual: bool = False

    @property
    def channels(self) -> int:
        """How many the output has."""
        return self.kernel[2] if self.is_depthwise else self.kernel[3]

    @property
    def normalisation(self) -> str:
        """The name of the batch normalisation."""
        return {"Conv1": "bn_Conv1", "Conv_1": "Conv_1_bn"}.get(self.name, f"{self.name}_BN")

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of its weights: kernel, gamma, beta, mean, variance."""
        return [self.kernel, *[(self.channels,)] * 4]

    def folded(self, weights: list[Floats]) -> tuple[Floats, Floats]:
        """Kernel and bias of the convolution that does both, from `weights` with the `shapes`.

        The inverse deviation is correctly rounded, so that every machine gives the same bytes.
        """
        kernel, gamma, beta, mean, variance = weights
        deviation = np.sqrt((variance + np.float32(EPSILON)).astype(np.float64))
        scale = (1 / deviation).astype(np.float32) * gamma
        return kernel * (scale[:, np.newaxis] if self.is_depthwise else scale), beta - mean * scale


def layers() -> list[Layer]:
    """All 52, from the picture to the features."""
    return [
        Layer("Conv1", (3, 3, 3, 32), stride=2),
        *(layer for bottleneck in _bottlenecks() for layer in bottleneck),
        Layer("Conv_1", (1, 1, 320, FEATURES)),
    ]


def split(weights: bytes) -> list[list[Floats]]:
    """The weights of each layer from Keras's `get_weights()`, concatenated as little-endian float32."""
    shapes = [layer.shapes for layer in layers()]
    sizes = [int(np.prod(shape)) for of_layer in shapes for shape in of_layer]
    parts = iter(np.split(np.frombuffer(weights, "<f4"), np.cumsum(sizes)[:-1]))
    return [[next(parts).reshape(shape) for shape in of_layer] for of_layer in shapes]


def _bottlenecks() -> Iterator[list[Layer]]:
    channels, number = 32, 0
    for expansion, out, repetitions, first_stride in BOTTLENECKS:
        for repetition in range(repetitions):
            yield _bottleneck(number, channels, expansion, out, first_stride if repetition == 0 else 1)
            channels, number = out, number + 1


def _bottleneck(number: int, channels: int, expansion: int, out: int, stride: int) -> list[Layer]:
    name, wide = f"block_{number}" if number else "expanded_conv", channels * expansion
    expand = [Layer(f"{name}_expand", (1, 1, channels, wide))] if expansion > 1 else []
    return [
        *expand,
        Layer(f"{name}_depthwise", (3, 3, wide, 1), stride, is_depthwise=True),
        Layer(f"{name}_project", (1, 1, wide, out), is_linear=True, is_residual=stride == 1 and channels == out),
    ]
