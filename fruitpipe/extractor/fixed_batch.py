"""A network whose batch is free, made one for a single picture: LiteRT in a browser loads the former and refuses each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from fruitpipe.extractor.inference import CHANNELS, IDENTIFIER, quiet

if TYPE_CHECKING:
    from fruitpipe.extractor.inference import ModelFile

FREE = -1


def of(model: ModelFile) -> bytes:
    """The model's flatbuffer for (1, height, width, 3) alone: the same bytes where it is so already.

    Only shapes differ. Each is the one that LiteRT gives the tensor for a picture of the model's size.
    """
    flatbuffer = model.flatbuffer
    found = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    graph = found.subgraphs[0]
    if not any(_is_free(tensor) for tensor in graph.tensors):
        return flatbuffer
    shapes = _shapes(model)
    for number, tensor in enumerate(graph.tensors):
        if _is_free(tensor):
            tensor.shape, tensor.shapeSignature = shapes[number], None
    builder = flatbuffers.Builder(len(flatbuffer) + len(flatbuffer) // 8)
    builder.Finish(found.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _is_free(tensor: Any) -> bool:
    return tensor.shapeSignature is not None and FREE in list(tensor.shapeSignature)


def _shapes(model: ModelFile) -> dict[int, list[int]]:
    """Of all tensors, by number, for one picture. Without delegates, which do not tell those of the tensors that they took."""
    preprocessing = model.preprocessing
    with quiet(2):
        interpreter = Interpreter(
            model_content=model.flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        (input_,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(input_["index"], [1, preprocessing.height_px, preprocessing.width_px, CHANNELS])
        interpreter.allocate_tensors()
    return {one["index"]: one["shape"].tolist() for one in interpreter.get_tensor_details()}
