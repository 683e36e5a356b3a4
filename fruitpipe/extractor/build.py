"""Builds the model file: float32 as LiteRT's schema has it, int8 by TensorFlow. The only importer of TensorFlow."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fruitpipe import objects
from fruitpipe.choices import Precision
from fruitpipe.errors import MissingRequirement, WrongModel
from fruitpipe.extractor import flatbuffer, mobilenet, weights
from fruitpipe.extractor.flatbuffer import SIDE_PX
from fruitpipe.extractor.inference import ModelFile, Network, fingerprint, pack, quiet
from fruitpipe.output import say
from fruitpipe.pictures import decoding, drawn

PICTURES_PER_LABEL = 20  # that calibrate int8
CHECKED_PICTURES, LEAST_COSINE = 24, 0.9


def build(path: str, precision: str = Precision.float32) -> None:
    """Writes the model file to `path`, a path or URI, in one step, and prints a line for each source that it tries.

    About 2 s; in int8 30 s, most of it TensorFlow's. Raises MissingRequirement where int8 lacks TensorFlow, or no source can be
    reached, WrongModel where a source has other weights.
    """
    if precision == Precision.int8:
        tensorflow()  # before anything is fetched for it
    uri, obtained = objects.canonical(path), weights.obtain()
    convert = quantised if precision == Precision.int8 else flatbuffer.of_mobilenet
    body = pack(convert(obtained), weights.digest(obtained), precision)
    objects.write(uri, body)
    say(f"Model: {path} ({len(body) / 1e6:.1f} MB, fingerprint {fingerprint(ModelFile.parse(body))})")


def keras_model(obtained: bytes) -> Any:
    """The Keras model with these weights: (n, 224, 224, 3) float32 in [-1, 1] to (n, 1280) float32."""
    applications = tensorflow().keras.applications
    model = applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(SIDE_PX, SIDE_PX, 3))
    model.set_weights([array for layer in mobilenet.split(obtained) for array in layer])
    return model


def tensorflow() -> Any:
    """TensorFlow on the CPU and silent. Raises MissingRequirement."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        with quiet(2):
            import tensorflow as tf
    except ImportError as error:
        raise MissingRequirement(
            "building the int8 model file needs TensorFlow, which has no package for Python 3.14 yet; "
            "run: pip install 'fruitpipe[int8]' with Python 3.11 to 3.13, or copy a model file built elsewhere"
        ) from error
    return tf


def quantised(obtained: bytes) -> bytes:
    """The LiteRT flatbuffer in int8 throughout, float32 at both ends. Raises WrongModel where it has lost its way.

    Weights have a scale a channel, activations one a tensor, from the least and the greatest that the drawn sample shows. So
    anyone can build the same, without the pictures of others.
    """
    say("Converting with TensorFlow ...")
    pictures = [decoding.decode(body).pixels[np.newaxis] for body in _drawn()]
    tf, model = tensorflow(), keras_model(obtained)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([picture] for picture in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converted = _silently(converter)
    extract, checked = Network(converted), pictures[:: len(pictures) // CHECKED_PICTURES]
    pairs = [(extract(picture[0]), model(picture).numpy()[0]) for picture in checked]
    cosine = float(np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs]))
    if not cosine >= LEAST_COSINE:
        raise WrongModel(f"the int8 model's cosine to Keras is {cosine:.3f}, at least {LEAST_COSINE}; use the pinned TensorFlow")
    return converted


def _drawn() -> list[bytes]:
    """The sample that calibrates: 240 pictures of 12 labels, always the same."""
    with tempfile.TemporaryDirectory() as folder:
        drawn.draw(Path(folder), labels=len(drawn.FRUITS), images_per_label=PICTURES_PER_LABEL)
        return [picture.read_bytes() for picture in sorted(Path(folder).rglob("*.jpg"))]


def _silently(converter: Any) -> bytes:
    sys.stdout.flush()
    with quiet(1, 2):  # the converter writes to both, at no log level
        converted = bytes(converter.convert())
        sys.stdout.flush()
    return converted
