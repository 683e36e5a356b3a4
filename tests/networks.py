"""A small LiteRT network of another shape than ours, for tests: a convolution and an average, with seeded weights."""

from __future__ import annotations

import numpy as np

from fruitpipe.extractor import flatbuffer
from fruitpipe.extractor.mobilenet import Layer

SIDE_PX, FEATURES = 32, 8
LAYER = Layer("one", (3, 3, 3, FEATURES), stride=2)


def weights(seed=0):
    """Kernel, gamma, beta, mean and variance of the one layer."""
    random = np.random.default_rng(seed)
    return [random.uniform(0.1, 1, shape).astype(np.float32) for shape in LAYER.shapes]


def small(seed=0, *, pooled=True):
    """(1, 32, 32, 3) float32 to (1, 8) float32, or to (1, 16, 16, 8)."""
    graph = flatbuffer._Graph()
    picture = graph.activation("picture", (1, SIDE_PX, SIDE_PX, 3))
    at = graph.convolution(LAYER, weights(seed), picture)
    return graph.packed(picture, graph.average("features", at) if pooled else at)


def expected(pixels, seed=0):
    """What it gives for (32, 32, 3) pixels, by NumPy: padding as TensorFlow's SAME has it, none before and one after."""
    kernel, bias = (array.astype(np.float64) for array in LAYER.folded(weights(seed)))
    padded = np.pad(pixels.astype(np.float64), ((0, 1), (0, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
    return np.clip(np.einsum("hwcij,ijco->hwo", windows, kernel) + bias, 0, 6).mean(axis=(0, 1))
