"""A small LiteRT network of another shape than ours, for tests: a convolution and an average, with seeded weights."""

from __future__ import annotations

import contextlib

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from fruitpipe import settings
from fruitpipe.extractor import flatbuffer
from fruitpipe.extractor.inference import IDENTIFIER, ModelFile, pack_wrapped
from fruitpipe.extractor.mobilenet import Layer
from fruitpipe.pictures.preprocessing import Preprocessing

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


def freed(network, *, size=False):
    """The network with a free batch, as TensorFlow's converter writes it, or with a free size as well."""
    found = schema.ModelT.InitFromObj(schema.Model.GetRootAs(network, 0))
    for tensor in found.subgraphs[0].tensors:
        if tensor.buffer == 0:  # what is computed, and not a constant
            middle = [-1] * (len(tensor.shape) - 2) if size else list(tensor.shape[1:-1])
            tensor.shapeSignature = [-1, *middle, tensor.shape[-1]]
            tensor.shape = [max(side, 1) for side in tensor.shapeSignature]
    builder = flatbuffers.Builder(1024)
    builder.Finish(found.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def wrapped(network, side=SIDE_PX, scale=1.0):
    """Its model file, loaded, for pictures of `side` px with values divided by `scale`."""
    return ModelFile.parse(pack_wrapped(network, Preprocessing(side, side, (0.0, 0.0, 0.0), (scale, scale, scale))))


def for_apps():
    """Of a free size and batch, for pictures of 48 x 48 pixels; its model file, loaded."""
    return wrapped(freed(small(), size=True), side=48, scale=2550.0)


@contextlib.contextmanager
def in_place_of_ours(file, model):
    """Until the block ends, this one, written to `file`, is taken where none is named: versions of few features cost little."""
    file.write_bytes(model.body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "default_model", lambda *_: str(file))
        yield
