"""The network: MobileNetV2 1.0/224, ImageNet weights, top removed, average-pooled, or one of the user's; run by LiteRT.

Its model file is a LiteRT flatbuffer with a ZIP appended, as TFLite's metadata convention has it for associated files: any
LiteRT runs it as it is, and ``unzip -p FILE fruitpipe.json`` says what it is.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from lzma import LZMAError
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fruitpipe import objects
from fruitpipe.choices import Precision
from fruitpipe.errors import NotFound, WrongModel
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOBILENET = "mobilenetv2-1.0-224"
# Of Keras's get_weights() for weights="imagenet", include_top=False, concatenated as little-endian float32.
WEIGHTS_SHA256 = "c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8"
WRAPPED = "wrapped"  # any network that a user wrapped
IDENTIFIER = b"TFL3"  # of a LiteRT flatbuffer, from its fifth byte on
CHANNELS = 3  # of each picture

_MEMBER = "fruitpipe.json"
_BUILD = "fruitpipe model build PATH"
_BUILD_INT8 = "fruitpipe model build --extractor int8 PATH"
_WRAP = "fruitpipe model wrap MODEL.tflite PATH --mean NUMBERS --scale NUMBERS"


@dataclass(frozen=True)
class ModelFile:
    """A verified model file; picklable, so that a cluster can broadcast it (9 MB).

    network: MOBILENET or WRAPPED. weights_sha256: of MobileNetV2's weights; for a wrapped network, of the whole flatbuffer.
    quantisation: empty for float32, else the precision and the SHA-256 of the flatbuffer.
    """

    body: bytes
    weights_sha256: str
    quantisation: str = ""
    network: str = MOBILENET
    preprocessing: Preprocessing = STANDARD

    @property
    def precision(self) -> str:
        """``float32`` or ``int8``."""
        return self.quantisation.partition(" ")[0] or Precision.float32

    @property
    def flatbuffer(self) -> bytes:
        """The network alone, without what is appended to it."""
        return self.body[: _label(self.body, "the model file")["flatbuffer_bytes"]]

    @classmethod
    def parse(cls, body: bytes) -> ModelFile:
        """The model in the bytes of a model file. Raises WrongModel where they are not what they claim to be."""
        return cls._verified(body, "the model file")

    @classmethod
    def load(cls, path: str, precision: str | None = None) -> ModelFile:
        """The model in the file at `path`, a path or URI. Raises NotFound, AccessDenied and WrongModel.

        precision: ``float32`` or ``int8``, where another is a mistake.
        """
        uri = objects.canonical(path)
        build = _BUILD_INT8 if precision == Precision.int8 else _BUILD
        try:
            model = cls._verified(objects.read(uri), path)
        except NotFound as error:
            raise NotFound(f"{path}: there is no model file; build it with: {build.replace('PATH', path)}") from error
        if precision not in {None, model.precision}:
            raise WrongModel(f"{path}: its precision is {model.precision}, expected {precision}; build it with: {build}")
        return model

    @classmethod
    def _verified(cls, body: bytes, name: str) -> ModelFile:
        label = _label(body, name)
        flatbuffer = hashlib.sha256(memoryview(body)[: label["flatbuffer_bytes"]]).hexdigest()
        _expect(name, "its flatbuffer", flatbuffer, label["flatbuffer_sha256"], label)
        if label["extractor"] == WRAPPED:
            return cls(body, flatbuffer, network=WRAPPED, preprocessing=label["preprocessing"])
        _expect(name, "its weights", label["weights_sha256"], WEIGHTS_SHA256, label)
        precision = label["precision"]
        return cls(body, label["weights_sha256"], "" if precision == Precision.float32 else f"{precision} {flatbuffer}")


def pack(flatbuffer: bytes, weights_sha256: str, precision: str = Precision.float32) -> bytes:
    """The model file of a flatbuffer of MobileNetV2: the same bytes for the same flatbuffer, at any time."""
    return _packed(flatbuffer, {"extractor": MOBILENET, "weights_sha256": weights_sha256, "precision": precision})


def pack_wrapped(flatbuffer: bytes, preprocessing: Preprocessing) -> bytes:
    """The model file of a flatbuffer of another network, likewise."""
    return _packed(flatbuffer, {"extractor": WRAPPED, "weights_sha256": "", "preprocessing": asdict(preprocessing)})


def _packed(flatbuffer: bytes, named: dict[str, Any]) -> bytes:
    sizes = {"flatbuffer_sha256": hashlib.sha256(flatbuffer).hexdigest(), "flatbuffer_bytes": len(flatbuffer)}
    label = named | sizes
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(_MEMBER), json.dumps(label))
    return file.getvalue()


def fingerprint(model: ModelFile) -> str:
    """16 hexadecimal digits that change with whatever changes a vector: weights, preprocessing or decoder.

    Not with the bytes of a float32 model file: another TensorFlow writes other bytes for the same function. In int8 they are
    another function, so there each flatbuffer has its own, and so has one that is wrapped, with its preprocessing.
    """
    from fruitpipe.pictures import decoding  # and Pillow with it, which a run that finds nothing new does not need

    own = "" if model.network == MOBILENET else json.dumps(asdict(model.preprocessing))
    said = [model.network, model.weights_sha256, model.quantisation, own, decoding.decoder_version()]
    return hashlib.sha256(" ".join(filter(None, said)).encode()).hexdigest()[:16]


class Network:
    """One LiteRT interpreter with one thread; not to be shared between threads. It takes what the model's preprocessing gives.

    It takes one image at a time: on one core that is faster than a batch (293 images/s against 221 for batches of 32, whose
    activations leave the cache), and a vector cannot depend on its neighbours.
    """

    def __init__(self, model_bytes: bytes, preprocessing: Preprocessing = STANDARD) -> None:
        from ai_edge_litert.interpreter import Interpreter  # only who runs a network needs LiteRT

        shape = [1, preprocessing.height_px, preprocessing.width_px, CHANNELS]
        with quiet(2):  # LiteRT announces its XNNPACK delegate from C++, once a process
            self._interpreter = Interpreter(model_content=model_bytes, num_threads=1)
            (input_,) = self._interpreter.get_input_details()
            if input_["shape"].tolist() != shape:  # a network that takes any size
                self._interpreter.resize_tensor_input(input_["index"], shape)
            self._interpreter.allocate_tensors()
        self._input: int = input_["index"]
        self._output: int = self._interpreter.get_output_details()[0]["index"]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of what the network gives for one picture, which has run."""
        return tuple(self._interpreter.get_tensor(self._output).shape)

    def __call__(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The features, (d,) float32, of one picture, (height, width, 3) float32. About 3.5 ms for MobileNetV2, which gives 1280.

        Raises ValueError for another shape or dtype.
        """
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()
        features: npt.NDArray[np.float32] = self._interpreter.get_tensor(self._output).reshape(-1)
        return features


@functools.lru_cache(maxsize=1)
def network_for(model: ModelFile) -> Network:
    """The process's one network for `model`: Spark reuses its Python workers, and each task asks again."""
    return Network(model.body, model.preprocessing)


@contextmanager
def quiet(*descriptors: int) -> Iterator[None]:
    """Sends what native code writes to these file descriptors to nowhere, for code that knows no log level."""
    with ExitStack() as stack:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        for descriptor in descriptors:
            kept = os.dup(descriptor)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, descriptor)
            os.dup2(nowhere, descriptor)
        yield


def _label(body: bytes, name: str) -> dict[str, Any]:
    """What the file says of itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            label = _DEFAULTS | json.loads(archive.read(_MEMBER))
        return {key: kind(label[key]) for key, kind in _LABEL_TYPES.items()}
    except _UNREADABLE as error:
        raise WrongModel(
            f"{name}: {len(body)} bytes without a readable {_MEMBER}, so not a model of fruitpipe; "
            f"build it again with: {_BUILD}, or make one of another network with: {_WRAP}"
        ) from error


# What zipfile and json raise for damaged bytes; RuntimeError where a flipped bit claims encryption or another method.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, LZMAError, OSError, EOFError, RuntimeError, KeyError, TypeError, ValueError)
_DEFAULTS = {"precision": Precision.float32, "extractor": MOBILENET, "preprocessing": {}}  # of files of an earlier fruitpipe
_LABEL_TYPES: dict[str, Callable[[Any], Any]] = {
    "extractor": str,
    "weights_sha256": str,
    "precision": str,
    "preprocessing": lambda fields: Preprocessing.of(fields) if fields else STANDARD,
    "flatbuffer_sha256": str,
    "flatbuffer_bytes": int,
}


def _expect(name: str, part: str, found: str, expected: str, label: dict[str, Any]) -> None:
    if found != expected:
        again = _WRAP if label["extractor"] == WRAPPED else _BUILD_INT8 if label["precision"] == Precision.int8 else _BUILD
        raise WrongModel(f"{name}: the SHA-256 of {part} is {found}, expected {expected}; make it again with: {again}")
