"""Writes the LiteRT flatbuffer of MobileNetV2 with LiteRT's published schema: no TensorFlow, 0.3 s, the same bytes everywhere.

TensorFlow's converter folds batch normalisation with the processor's approximate reciprocal root, so its bytes may differ between
kinds of processor; the operations are the same. The batch is fixed at one picture, which LiteRT in a browser asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from fruitpipe.extractor import mobilenet
from fruitpipe.extractor.inference import CHANNELS, IDENTIFIER
from fruitpipe.extractor.mobilenet import Layer

VERSION = 3  # of the schema
SIDE_PX = 224
OPERATORS = (  # each with the version of it that is used
    (schema.BuiltinOperator.CONV_2D, 1),
    (schema.BuiltinOperator.DEPTHWISE_CONV_2D, 1),
    (schema.BuiltinOperator.ADD, 1),
    (schema.BuiltinOperator.MEAN, 1),
)
CONV, DEPTHWISE, ADD, MEAN = range(len(OPERATORS))
RELU6, LINEAR = schema.ActivationFunctionType.RELU6, schema.ActivationFunctionType.NONE


def of_mobilenet(weights: bytes) -> bytes:
    """The flatbuffer of the network, (1, 224, 224, 3) float32 in [-1, 1] to (1, 1280) float32.

    weights: Keras's `get_weights()`, concatenated as little-endian float32.
    """
    graph = _Graph()
    picture = picture_of_block = graph.activation("picture", (1, SIDE_PX, SIDE_PX, CHANNELS))
    at = picture
    for layer, values in zip(mobilenet.layers(), mobilenet.split(weights), strict=True):
        if _begins_block(layer):
            picture_of_block = at
        at = graph.convolution(layer, values, at)
        if layer.is_residual:
            at = graph.sum(f"{layer.name}_add", picture_of_block, at)
    return graph.packed(picture, graph.average("features", at))


def _begins_block(layer: Layer) -> bool:
    return layer.name.endswith("_expand") or layer.name == "expanded_conv_depthwise"


@dataclass
class _Graph:
    """A subgraph in the making. A tensor is known by its number."""

    tensors: list[schema.TensorT] = field(default_factory=list)
    operators: list[schema.OperatorT] = field(default_factory=list)
    buffers: list[schema.BufferT] = field(default_factory=lambda: [schema.BufferT()])  # the first is empty by convention

    def activation(self, name: str, shape: tuple[int, ...]) -> int:
        return self._tensor(name, shape, 0)

    def convolution(self, layer: Layer, weights: list[mobilenet.Floats], at: int) -> int:
        kernel, bias = layer.folded(weights)
        # LiteRT has the output's channels first, and last where it is depthwise.
        kernel = kernel.transpose(3, 0, 1, 2)
        _, height, width, _ = self.tensors[at].shape
        shape = (1, -(-height // layer.stride), -(-width // layer.stride), layer.channels)
        inputs = [at, self._constant(f"{layer.name}/kernel", kernel), self._constant(f"{layer.name}/bias", bias)]
        output = self.activation(layer.name, shape)
        self._operator(DEPTHWISE if layer.is_depthwise else CONV, _options(layer), inputs, output)
        return output

    def sum(self, name: str, first: int, second: int) -> int:
        output = self.activation(name, tuple(self.tensors[first].shape))
        self._operator(ADD, schema.AddOptionsT(), [first, second], output)
        return output

    def average(self, name: str, at: int) -> int:
        """Over height and width."""
        axes = self._constant(f"{name}/axes", np.array([1, 2], np.int32))
        output = self.activation(name, (1, self.tensors[at].shape[3]))
        self._operator(MEAN, schema.ReducerOptionsT(), [at, axes], output)
        return output

    def packed(self, first: int, last: int) -> bytes:
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", self.tensors, self.operators
        graph.inputs, graph.outputs = [first], [last]
        model = schema.ModelT()
        model.version, model.description = VERSION, "MobileNetV2 1.0/224 without its top, for fruitpipe"
        model.operatorCodes = [_code(*operator) for operator in OPERATORS]
        model.subgraphs, model.buffers = [graph], self.buffers
        builder = flatbuffers.Builder(1 << 24)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _constant(self, name: str, values: npt.NDArray[np.generic]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(buffer)
        kind = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
        return self._tensor(name, values.shape, len(self.buffers) - 1, kind)

    def _tensor(self, name: str, shape: tuple[int, ...], buffer: int, kind: int = schema.TensorType.FLOAT32) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer, tensor.type = name, list(shape), buffer, kind
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _operator(self, code: int, options: object, inputs: list[int], output: int) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, [output]
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        self.operators.append(operator)


def _options(layer: Layer) -> schema.Conv2DOptionsT | schema.DepthwiseConv2DOptionsT:
    options = schema.DepthwiseConv2DOptionsT() if layer.is_depthwise else schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideW = options.strideH = layer.stride
    options.dilationWFactor = options.dilationHFactor = 1
    options.fusedActivationFunction = LINEAR if layer.is_linear else RELU6
    if layer.is_depthwise:
        options.depthMultiplier = 1
    return options


def _code(operator: int, version: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = version
    return code
